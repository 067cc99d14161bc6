// The manifests that the pages show are YAML, and each document says what it is.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';

const docs = new URL('../docs/', import.meta.url).pathname;

test('every manifest is read without a complaint', () => {
  const kinds = [];
  for (const file of readdirSync(docs, { recursive: true }).filter((name) => name.endsWith('.md') && !name.includes('node_modules'))) {
    const text = readFileSync(join(docs, file), 'utf8');
    for (const [, block] of text.matchAll(/^```yaml\n([^]*?)^```/gm)) {
      for (const document of parseAllDocuments(block, { strict: true, uniqueKeys: true })) {
        assert.deepEqual([...document.errors, ...document.warnings].map(String), [], file);
        const { apiVersion, kind, metadata, spec } = document.toJS();
        assert.ok(apiVersion && kind && metadata?.name && spec, `${file}: a document without apiVersion, kind, metadata or spec`);
        kinds.push(kind);
      }
    }
  }
  assert.deepEqual(kinds.sort(), ['Deployment', 'Ingress', 'Service', 'Service']);
});
