import { existsSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { expect, test } from 'vitest'
import { anchorsOf, linksOf, markdownFiles, readMarkdown, repository } from './markdown.ts'

const ELSEWHERE = /^[a-z][a-z0-9+.-]*:/i

/** The links of a file that lead nowhere in the repository. */
function brokenLinks(file: string, markdown = readMarkdown(file)): string[] {
  return linksOf(markdown).filter((link) => {
    if (ELSEWHERE.test(link)) return false
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? file : posix.join(posix.dirname(file), decodeURI(path))
    if (target.startsWith('..') || !existsSync(join(repository, target))) return true
    if (anchor === undefined) return false
    const isMarkdown = target.endsWith('.md') && statSync(join(repository, target)).isFile()
    return !isMarkdown || !anchorsOf(target === file ? markdown : readMarkdown(target)).has(anchor)
  })
}

test.each(markdownFiles())('every relative link in %s leads to a file, and to a heading of it', (file) => {
  expect(brokenLinks(file)).toEqual([])
})

test('every decision is in the index of decisions, by its title', () => {
  const index = readMarkdown('docs/adr/README.md')
  for (const file of markdownFiles('docs/adr').filter((path) => /\/\d{4}-/.test(path))) {
    const [, title = ''] = /^# \d+\. (.+)$/m.exec(readMarkdown(file)) ?? []
    expect(index).toContain(`[${title}](${posix.basename(file)})`)
  }
})

test('a link to a missing file, a missing heading or out of the repository is found, and code is no link', () => {
  const markdown = [
    '# A heading with `code_in` it: yes',
    '[kept](README.md), [kept](#a-heading-with-code_in-it-yes), [kept](https://example.com/none)',
    '[split over',
    'lines](none.md) and [a](README.md#none), ![b](none.png), [c](../README.md), [d](#none)',
    '[e]: none/',
    '`[f](code.md)`',
    '```md',
    '[g](fenced.md)',
    '```',
  ].join('\n')
  expect(brokenLinks('README.md', markdown)).toEqual([
    'none.md',
    'README.md#none',
    'none.png',
    '../README.md',
    '#none',
    'none/',
  ])
})
