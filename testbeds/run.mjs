// Every bed of this folder, right and with each of its defects, under `portcullis check`.
//
//   node testbeds/run.mjs            fails if a defect is missed, a right server is blamed, or docs/testbeds.md is stale
//   node testbeds/run.mjs --write    writes docs/testbeds.md
//   node testbeds/run.mjs fastapi    one bed alone; the page is left as it is
//
// PORTCULLIS_BIN is the binary; without it, target/debug/portcullis.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { BEDS } from './defects.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const page = join(here, '../docs/testbeds.md');
const binary = process.env.PORTCULLIS_BIN ?? join(here, '../target/debug/portcullis');
const secret = 'tV5-pq93Jw_Zc1mXs8Rb6nYd0LgHuKe4';
const SIDE_BY_SIDE = 4;

const base64url = (text) => Buffer.from(text).toString('base64url');

function token() {
  const claims = { sub: 'ada', iss: 'bed', aud: 'bed', exp: Math.floor(Date.now() / 1000) + 600 };
  const signed = `${base64url('{"alg":"HS256","typ":"JWT"}')}.${base64url(JSON.stringify(claims))}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** Starts a bed; gives its port and a way to end it. */
async function start(bed, defect) {
  const [program, ...args] = bed.command;
  const child = spawn(program, args, {
    cwd: here,
    env: { PATH: process.env.PATH, DEFECT: defect, SECRET: secret },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaints = '';
  child.stderr.on('data', (data) => (complaints += data));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const line = new Promise((resolve) => createInterface(child.stdout).once('line', resolve));
  const port = await Promise.race([line, ended.then(() => null)]);
  if (port === null) throw new Error(`${bed.name} ${defect} did not start:\n${complaints}`);
  return {
    port,
    stop: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}

/** The report of `portcullis check`. */
async function check(bed, port, profile, args) {
  const url = `ws://127.0.0.1:${port}${bed.path}`;
  const all = ['check', url, '--format', 'json', '--token', token(), '--secret', secret, '--profile', profile, ...args];
  const child = spawn(binary, all, { cwd: here, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, complaints] = ['', ''];
  child.stdout.on('data', (data) => (out += data));
  child.stderr.on('data', (data) => (complaints += data));
  await new Promise((resolve) => child.once('close', resolve));
  try {
    return JSON.parse(out);
  } catch {
    throw new Error(`check of ${bed.name} gave no report:\n${complaints}`);
  }
}

async function run(bed, defect, args, profile = bed.profile) {
  const server = await start(bed, defect);
  try {
    return await check(bed, server.port, profile, args);
  } finally {
    await server.stop();
  }
}

const describe = (report, id) => {
  const found = report.cases.find((entry) => entry.id === id);
  return found ? `${found.verdict}: ${found.says}` : 'not run';
};

/** One defect: every case that is named has to find it, and the root cause has to be the one that is named. */
async function red(bed, defect) {
  const { cases, passes = [] } = defect;
  const forms = (defect.any ? [] : (defect.forms ?? bed.forms)).flatMap((form) => ['--form', form]);
  const only = [...cases, ...passes].flatMap((id) => ['--only', id]);
  const report = await run(bed, defect.name, [...forms, ...only, '--settle', '400ms', '--timeout', '2s']);
  const faults = [];
  const verdict = (id) => report.cases.find((entry) => entry.id === id)?.verdict;
  const missed = [
    ...cases.filter((id) => !['fail', 'warn'].includes(verdict(id))),
    ...passes.filter((id) => verdict(id) !== 'pass'),
  ];
  for (const id of missed) faults.push(`${bed.name}, ${defect.name}: ${id} is ${describe(report, id)}`);
  const symptoms = report.root_causes.map((cause) => cause.symptom);
  if (defect.symptom && !symptoms.includes(defect.symptom)) {
    faults.push(`${bed.name}, ${defect.name}: the root cause is ${symptoms.join(', ') || 'none'}, not ${defect.symptom}`);
  }
  return { faults };
}

/** The right server: nothing fails. */
async function green(bed) {
  const report = await run(bed, '', ['--patience', '4s', ...(bed.greenArgs ?? [])]);
  const failed = report.cases.filter((entry) => entry.verdict === 'fail');
  const faults = failed.map((entry) => `${bed.name}, done right: ${entry.id}: ${entry.says}`);
  for (const entry of report.cases.filter((entry) => entry.verdict === 'inconclusive')) {
    faults.push(`${bed.name}, done right: ${entry.id} is inconclusive: ${entry.says}`);
  }
  return { faults, report };
}

/** What a framework does by itself: graded, not judged. */
const plain = async (bed) => ({ faults: [], report: await run(bed, 'default', ['--patience', '4s'], bed.plainProfile) });

function table(beds, reports) {
  const lines = [HEAD];
  lines.push('## Grades', '', '| server | grade | root cause | failed | warnings |', '|---|---|---|---|---|');
  for (const bed of beds) {
    const [before, after] = ['default', ''].map((name) => reports.get(`${bed.name}/${name}`));
    if (before) {
      // How many cases fail where anybody is let in says nothing more.
      const cause = before.root_causes.map((found) => SYMPTOMS[found.symptom])[0] ?? 'none';
      lines.push(`| ${bed.plain} | ${before.grade} | ${cause} | whatever asks for a token | |`);
    }
    const of = (verdict) =>
      after.cases.filter((entry) => entry.verdict === verdict).map((entry) => `\`${entry.id}\``).join(', ') || 'none';
    lines.push(`| ${bed.right} | ${after.grade} | none | ${of('fail')} | ${of('warn')} |`);
  }
  for (const bed of beds) {
    lines.push('', `## ${bed.title}`, '', '| defect | what it is | found by | root cause |', '|---|---|---|---|');
    for (const { name, what, cases, symptom } of bed.defects) {
      lines.push(`| \`${name}\` | ${what} | ${cases.map((id) => `\`${id}\``).join(', ')} | ${symptom ? SYMPTOMS[symptom] : ''} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const SYMPTOMS = {
  browser1006: '1006 in the browser',
  closed1011: '1011',
  bare403: 'a bare 403',
  no_token: '`NO_TOKEN`, though a token is sent',
  works_in_tests: 'works in tests, not in staging',
};

const HEAD = `# Test beds

<!-- Generated: node testbeds/run.mjs --write -->

Small real servers that [\`portcullis check\`](check.md) has to judge rightly: each is right, and wrong in one way at a time. The beds in Rust, where each of the [cases](check-cases.md) has a defect of its own name, are part
of the crate's tests; these here are in the stacks where it goes wrong in life. Every line is run by \`scripts/test.sh testbeds\`: a defect that is missed fails it, and so does a right server that is blamed.
`;

const args = process.argv.slice(2);
const names = args.filter((arg) => !arg.startsWith('--'));
const beds = BEDS.filter((bed) => names.length === 0 || names.includes(bed.name));
const jobs = beds.flatMap((bed) => [
  { name: `${bed.name}/`, work: () => green(bed) },
  ...(bed.plain ? [{ name: `${bed.name}/default`, work: () => plain(bed) }] : []),
  ...bed.defects.map((defect) => ({ name: `${bed.name}/${defect.name}`, work: () => red(bed, defect) })),
]);

const [reports, faults] = [new Map(), []];
const total = jobs.length;
await Promise.all(
  Array.from({ length: SIDE_BY_SIDE }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const result = await job.work();
      faults.push(...result.faults);
      if (result.report) reports.set(job.name, result.report);
    }
  }),
);
if (names.length === 0) {
  const text = table(beds, reports);
  if (args.includes('--write')) writeFileSync(page, text);
  else if (readFileSync(page, 'utf8') !== text) faults.push('docs/testbeds.md is stale: node testbeds/run.mjs --write');
}
for (const fault of faults) console.error(fault);
console.log(`${total} runs, ${faults.length} faults`);
process.exitCode = faults.length > 0 ? 1 : 0;
