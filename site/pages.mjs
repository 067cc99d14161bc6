// What the site has, in reading order. A source is a path from the root of the repository; its page keeps the path below
// docs/, so that links between the files mean the same on the site and in the repository.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The files of a folder whose names match, in order. */
const all = (root, folder, pattern) =>
  readdirSync(join(root, folder))
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => `${folder}/${name}`);

/** The sections of the navigation: `{ title, sources }`. */
export function sections(root) {
  return [
    { title: 'Start', sources: ['docs/README.md', 'docs/quickstart.md'] },
    {
      title: 'Concepts',
      sources: [
        'docs/concepts/connection.md',
        'docs/concepts/credentials.md',
        'docs/concepts/refusals.md',
        'docs/concepts/streams.md',
        'docs/concepts/modes.md',
      ],
    },
    {
      title: 'How to',
      sources: [
        'docs/howto/front-end.md',
        'docs/howto/token-refresh.md',
        'docs/howto/ask-the-doctor.md',
        'docs/check.md',
        'docs/diagnose.md',
        'docs/bench.md',
        'docs/howto/fastapi.md',
        'docs/deployment.md',
        'docs/howto/cloud-run.md',
        'docs/howto/kubernetes.md',
        'docs/operations.md',
      ],
    },
    {
      title: 'Reference',
      sources: [
        'docs/reasons/README.md',
        'docs/protocol.md',
        'docs/configuration.md',
        'docs/cli.md',
        'docs/metrics.md',
        'docs/check-cases.md',
        'docs/testbeds.md',
        'docs/performance.md',
      ],
    },
    {
      title: 'Project',
      sources: ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'],
    },
    // Reached from the pages above, and by searching.
    { title: 'Reasons', hidden: true, sources: all(root, 'docs/reasons', /^(?!README).*\.md$/) },
    { title: 'Decisions', hidden: true, sources: all(root, 'docs/adr', /\.md$/) },
  ];
}

/** Where the page of a source stands below /docs/. */
export function address(source) {
  const path = source.startsWith('docs/') ? source.slice('docs/'.length) : `project/${source.toLowerCase()}`;
  return path.replace(/README\.md$/, 'index.html').replace(/\.md$/, '.html');
}
