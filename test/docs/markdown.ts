import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const repository: string = join(import.meta.dirname, '../..')

/** A fenced block of a Markdown file. */
export interface Fence {
  readonly file: string
  /** The line of the block's first line of text, counted from 1. */
  readonly line: number
  readonly language: string
  readonly text: string
  /** The headings above it, the outermost first. */
  readonly headings: readonly string[]
}

// `etc` holds reports of the built API, which are no documents.
const SKIPPED = new Set(['.git', '.stryker-tmp', '.tools', 'coverage', 'dist', 'etc', 'node_modules'])

/** All Markdown files of the repository, relative to it. */
export function markdownFiles(folder = ''): string[] {
  return readdirSync(join(repository, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : markdownFiles(path)
    return path.endsWith('.md') ? [path] : []
  })
}

export function readMarkdown(file: string): string {
  return readFileSync(join(repository, file), 'utf8')
}

/** Finds the fenced blocks, also those that are indented in a list. */
export function fencesOf(file: string, markdown = readMarkdown(file)): Fence[] {
  const fences: Fence[] = []
  const headings: string[] = []
  let closing: string | null = null
  let indent = 0
  for (const [index, line] of markdown.split('\n').entries()) {
    const open = fences.at(-1)
    if (closing === null) {
      const [, level, heading = ''] = /^(#+) (.+)$/.exec(line) ?? []
      if (level !== undefined) headings.splice(level.length - 1, Number.POSITIVE_INFINITY, heading)
      const [, spaces = '', ticks, language = ''] = /^( *)(`{3,})(\w*)/.exec(line) ?? []
      if (ticks === undefined) continue
      fences.push({ file, line: index + 2, language, text: '', headings: [...headings] })
      closing = ticks
      indent = spaces.length
    } else if (line.trim() === closing) {
      closing = null
    } else if (open !== undefined) {
      fences[fences.length - 1] = { ...open, text: `${open.text}${line.slice(indent)}\n` }
    }
  }
  return fences
}

/** The text outside of fenced blocks and code spans. */
function proseOf(markdown: string): string {
  const spaces = (code: string): string => code.replaceAll(/[^\n]/g, ' ')
  return markdown
    .replaceAll(/^( *)(`{3,})[\s\S]*?^\1\2 *$/gm, spaces)
    .replaceAll(/(`+)[^`][\s\S]*?\1/g, spaces)
}

/** Where the links and images of a file point, as written. */
export function linksOf(markdown: string): string[] {
  const prose = proseOf(markdown)
  const inline = prose.matchAll(/\]\(([^()\s]+)(?:\s+"[^"]*")?\)/g)
  const reference = prose.matchAll(/^ *\[[^\]]+\]: +(\S+)/gm)
  return [...inline, ...reference].map(([, target = '']) => target)
}

/** The anchors that the headings of a file get. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  const text = markdown.replaceAll(/^( *)(`{3,})[\s\S]*?^\1\2 *$/gm, '')
  for (const [, heading = ''] of text.matchAll(/^#+ +(.+?) *$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const anchor = plain
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-')
    let unique = anchor
    for (let count = 1; anchors.has(unique); count += 1) unique = `${anchor}-${count}`
    anchors.add(unique)
  }
  return anchors
}
