import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/index.ts'
import { PROBLEMS } from '../../src/problem.ts'
import { splitTarget } from '../../src/target.ts'

describe('the package', () => {
  it('Rule 8: imports nothing of express, so that neither do its types', () => {
    const folder = join(import.meta.dirname, '../../src')
    const files = globSync('**/*.ts', { cwd: folder })
    expect(files.length).toBeGreaterThan(10)
    for (const file of files) expect(readFileSync(join(folder, file), 'utf8')).not.toMatch(/['"]express['"/]/)
  })

  it('Rule 5: every detail is a sentence of its own, with the status of its title', () => {
    const details = Object.values(PROBLEMS).map(([, , detail]) => detail)
    expect(new Set(details).size).toBe(details.length)
    for (const detail of details) expect(detail).toMatch(/\.$/)
    const statuses = new Map<number, string>()
    for (const [status, title] of Object.values(PROBLEMS)) {
      expect(statuses.get(status) ?? title).toBe(title)
      statuses.set(status, title)
    }
  })

  it('Rule 9: a problem shows no stack to error handlers that send it', () => {
    const problem = new Problem('INTERNAL', { cause: new Error('driver text') })
    expect(problem.stack).toBe('Problem: The request failed. The server logs say why.')
    expect(JSON.stringify(problem)).not.toContain('driver text')
  })

  it('Rule 8: splits request targets, also in the absolute form that proxies are sent', () => {
    expect(splitTarget('/a?b=c?d')).toEqual({ path: '/a', query: 'b=c?d' })
    expect(splitTarget('http://host:80/a?b')).toEqual({ path: '/a', query: 'b' })
    expect(splitTarget('http://host')).toEqual({ path: '/', query: '' })
    expect(splitTarget('?name=a')).toEqual({ path: '/', query: 'name=a' })
    expect(splitTarget('/http://host/a')).toEqual({ path: '/http://host/a', query: '' })
  })
})
