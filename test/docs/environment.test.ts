import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readMarkdown, repository } from './markdown.ts'

test('the table of environment variables has those that environmentKeys() documents, and no others', () => {
  const source = readFileSync(join(repository, 'packages/envelope/src/keyring/env-source.ts'), 'utf8')
  const documented = [...source.matchAll(/^ \* - `(TALOS_[^`]+)`/gm)].map(([, variable]) => variable)
  const [, section = ''] = readMarkdown('docs/guide/runbook.md').split(/^## Environment variables$/m)
  const listed = [...section.matchAll(/^\| `(TALOS_[^`]+)` \|/gm)].map(([, variable]) => variable)
  expect(documented.length).toBeGreaterThan(0)
  expect(listed.sort()).toEqual(documented.sort())
})
