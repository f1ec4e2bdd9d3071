import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EVENT_METRICS, GAUGES } from '../../src/names.ts'

const read = (path: string): string => readFileSync(join(import.meta.dirname, '../../../..', path), 'utf8')
const GUIDE = read('docs/guide/telemetry.md')

/** The rows of the table under a heading, as their cells. */
function rowsUnder(heading: string): string[][] {
  const [, section = ''] = GUIDE.split(`# ${heading}\n`)
  const [table = ''] = /(?:^\|.*\n)+/m.exec(section) ?? []
  const rows = table.trimEnd().split('\n').slice(2)
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

const code = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)

test('the guide lists every event with its members', () => {
  const source = read('packages/envelope/src/events.ts')
  const events = source.split(/^ {2}\| \{$/m).slice(1)
  const declared = events.map((event) => {
    const [, type = ''] = /readonly type: '(\w+)'/.exec(event) ?? []
    const members = [...event.matchAll(/^ {6}readonly (\w+):/gm)].map(([, member = '']) => member)
    return [type, members.filter((member) => member !== 'type').sort()] as const
  })
  const told = rowsUnder('Events').map(
    ([type, members]) => [code(type).join(), code(members).sort()] as const,
  )
  expect(declared.length).toBeGreaterThan(10)
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(declared))
})

test('the guide lists every metric with its kind and unit', () => {
  const kindOf = (name: string): string =>
    Object.values<{ name: string }>(GAUGES).some((gauge) => gauge.name === name)
      ? 'gauge'
      : name.endsWith('.duration')
        ? 'histogram'
        : 'counter'
  const declared = Object.values({ ...EVENT_METRICS, ...GAUGES }).map(({ name, unit }) => [
    name,
    kindOf(name) + (unit === 's' ? ', s' : ''),
  ])
  const told = rowsUnder('Metrics').map(([name, kind]) => [code(name).join(), kind])
  expect(told).toEqual(declared)
})
