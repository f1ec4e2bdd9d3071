/**
 * Writes docs/reference/safe.md from test/retirement/matrix.ts, the table that the tests run, so that no pair of a clause and a
 * store is without a test or a reason why it needs none.
 *
 *     node scripts/safe-reference.mjs [file]
 *     node scripts/safe-reference.mjs --check [file]    changes nothing; fails when the page is another one
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import {
  ALL_HOLD,
  CLAUSES,
  cells,
  FENCE_CHECKS,
  gaps,
  MATRIX,
  SETTLING,
  STORES,
  scenarios,
} from '../test/retirement/matrix.ts'

const root = join(import.meta.dirname, '..')
const stores = Object.keys(STORES)

function page() {
  const pairs = cells()
  const table = Object.keys(CLAUSES).map((clause) => {
    const columns = stores.map((store) => {
      const tests = scenarios().filter((each) => each.clause === clause && each.store === store).length
      return tests === 0 ? 'cannot' : tests === 1 ? '1 test' : `${tests} tests`
    })
    return `| [${clause}](#${clause.toLowerCase()}) | ${CLAUSES[clause]} | ${columns.join(' | ')} |`
  })
  const violable = Object.keys(CLAUSES).flatMap((clause) =>
    stores.filter((store) =>
      pairs.some((pair) => pair.clause === clause && pair.store === store && 'scenarios' in pair.cell),
    ),
  ).length
  const pairCount = Object.keys(CLAUSES).length * stores.length
  return `<!-- Made by scripts/safe-reference.mjs from test/retirement/matrix.ts. Do not edit. -->

# When a KEK is safe to retire

What the clauses mean, and what \`SAFE\` does not, is said in [the life of a KEK](../guide/lifecycle.md). Here is how each of them
can come not to hold on each store, and what is tested of it. A test brings about that one reason on a real store and sees that the
gate gives it and no other, that the verdict is \`NOT_SAFE\` (for S3 \`ADVISORY\`), and that \`retire\` refuses and changes nothing.

${pairCount} pairs of a clause and a store: ${violable} can be violated, ${pairCount - violable} cannot. ${Object.keys(MATRIX).length} reasons, ${scenarios().length} tests.

| clause | holds when | ${stores.map((store) => STORES[store]).join(' | ')} |
| --- | --- |${stores.map(() => ' --- |').join('')}
${table.join('\n')}

One more test on each store sees that the gate says \`SAFE\` where all clauses hold, and that everything is read without the KEK
after that:

${stores.map((store) => `- ${STORES[store]}: ${ALL_HOLD[store]}.`).join('\n')}

The store in memory keeps nothing over the end of its process and is none of them.
${Object.keys(CLAUSES).map(section).join('')}
## The certificate

[retirement-certificate.schema.json](retirement-certificate.schema.json) describes it as JSON Schema 2020-12. Every certificate of these
tests is valid by it.
`
}

function section(clause) {
  const rows = Object.entries(MATRIX).filter(([, row]) => row.clause === clause)
  return `
## ${clause}

Holds when ${CLAUSES[clause]}.

${rows.map(([code, row]) => reason(code, row)).join('\n')}`
}

/** What the stores have in common is said once. */
function reason(code, row) {
  const bySaying = new Map()
  for (const store of stores) {
    const cell = row.cells[store]
    const lines =
      'cannot' in cell
        ? [`cannot be violated. ${cell.cannot}`]
        : cell.scenarios.map(({ title }) => `${title}.`)
    for (const line of lines) bySaying.set(line, [...(bySaying.get(line) ?? []), STORES[store]])
  }
  const items = [...bySaying].map(
    ([line, names]) => `- ${names.length === stores.length ? 'every store' : names.join(', ')}: ${line}`,
  )
  const checks =
    code === 'never_fenced'
      ? `
No write goes past a fence: a store answers a keyring document only once its fence has settled, and a document that was edited to hold
no fence is refused with \`ERR_KEYRING_DOCUMENT\`, which is tested on each.

${stores.map((store) => `- ${STORES[store]}: ${SETTLING[store]}.`).join('\n')}

Every store runs these checks of the [conformance kit](../guide/write-an-adapter.md), the last two where a transaction of the
application can stay open (PostgreSQL):

${FENCE_CHECKS.map(([id, title]) => `- \`[${id}]\` ${title}.`).join('\n')}
`
      : ''
  return `\`${code}\`:

${items.join('\n')}
${checks}`
}

const { values, positionals } = parseArgs({ options: { check: { type: 'boolean' } }, allowPositionals: true })
const file = positionals[0] ?? join(root, 'docs/reference/safe.md')
const missing = gaps(MATRIX)
for (const gap of missing) console.error(`test/retirement/matrix.ts: ${gap}`)
if (missing.length > 0) {
  process.exitCode = 1
} else if (values.check !== true) {
  writeFileSync(file, page())
} else if (!existsSync(file) || readFileSync(file, 'utf8') !== page()) {
  console.error(
    `${relative(root, file)} is not what test/retirement/matrix.ts says; run: node scripts/run.mjs exec node scripts/safe-reference.mjs`,
  )
  process.exitCode = 1
}
