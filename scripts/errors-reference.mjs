/**
 * Writes docs/reference/errors.md from ERROR_CODES of the core, so that no code is without a page.
 *
 *     node scripts/errors-reference.mjs [file]
 *     node scripts/errors-reference.mjs --check [file]    changes nothing; fails when the page is another one
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { ERROR_CODES } from '../packages/envelope/src/errors.ts'

const root = join(import.meta.dirname, '..')

function page() {
  const rows = Object.entries(ERROR_CODES).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`)
  return `<!-- Made by scripts/errors-reference.mjs from packages/envelope/src/errors.ts. Do not edit. -->

# Errors

Every error of these packages is an \`EnvelopeError\` with a \`code\` and \`retryable\`; misuse of the API is a plain
\`TypeError\`. Recognise one with \`isEnvelopeError(error)\`, which also works when two versions are loaded, and decide by
\`code\`: codes are never renamed. A lost race is an answer and a missing secret is \`null\`; neither is an error.

| class | carries besides |
| --- | --- |
| \`DecryptError\` | \`reason\`, the check that failed, for operators only; \`kekId\` |
| \`FormatError\` | \`reason\`, for \`ERR_ENVELOPE_MALFORMED\` |
| \`KeyError\` | \`kekId\`; \`faults\`, all of them, for \`ERR_KEY_CONFIGURATION\` |
| \`ProviderError\` | \`kekId\` |
| \`StoreError\` | |
| \`SourceError\` | \`source\`, the name of the declared source |
| \`LifecycleError\` | \`reasons\` in words |

The checks behind \`reason\`, and their order, are in [format.md](format.md), those of an import in
[import-v1.md](../guide/import-v1.md#when-something-is-refused); the codes of the admin API, which are others, in
[http-api.md](../guide/http-api.md); what an operator does, in the [runbook](../guide/runbook.md#when-something-is-refused).

| code | meaning and what to do |
| --- | --- |
${rows.join('\n')}
`
}

const { values, positionals } = parseArgs({ options: { check: { type: 'boolean' } }, allowPositionals: true })
const file = positionals[0] ?? join(root, 'docs/reference/errors.md')
if (values.check !== true) {
  writeFileSync(file, page())
} else if (!existsSync(file) || readFileSync(file, 'utf8') !== page()) {
  console.error(
    `${relative(root, file)} is not what packages/envelope/src/errors.ts says; run: node scripts/run.mjs exec node scripts/errors-reference.mjs`,
  )
  process.exitCode = 1
}
