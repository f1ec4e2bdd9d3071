import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { SIZES } from '../codec/sample.ts'
import { CODEC_TARGETS, codecComparisons } from '../codec/suite.ts'
import { ratiosOf, reportJson, spreadTable } from '../measure/report.ts'
import { missedTargets, targetOf } from '../measure/targets.ts'

const spread = (median: number) => ({ median, min: median / 2, max: median * 2 })
const report = { suite: 'codec', node: '24.21.0', rounds: 3, ratios: { a: spread(0.5), b: spread(20) } }

describe('the JSON document', () => {
  it('is one line with suite, Node, rounds and the spread of every ratio', () => {
    const text = reportJson(report)
    expect(text).not.toContain('\n')
    expect(JSON.parse(text)).toEqual({
      suite: 'codec',
      node: '24.21.0',
      rounds: 3,
      ratios: { a: { median: 0.5, min: 0.25, max: 1 }, b: { median: 20, min: 10, max: 40 } },
    })
  })

  it('rounds ratios to four significant digits', () => {
    const { ratios } = JSON.parse(reportJson({ ...report, ratios: { a: spread(0.123456) } }))
    expect(ratios.a).toEqual({ median: 0.1235, min: 0.06173, max: 0.2469 })
  })
})

describe('a table', () => {
  it('has one line for each ratio, with its remark', () => {
    const table = spreadTable('ratio', [
      ['a', spread(0.5), 'at least 0.4'],
      ['longer', spread(120)],
    ])
    expect(table.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['ratio', 'median', 'min', 'max'],
      ['a', '0.50', '0.25', '1.00', 'at least 0.4'],
      ['longer', '120', '60.0', '240'],
    ])
  })
})

describe('targets', () => {
  it('are met by a median that reaches them', () => {
    expect(missedTargets(report, { a: 0.5, b: { '24': 20, '22': 99 } })).toEqual([])
  })

  it('are named when a median is below them, however high the greatest ratio is', () => {
    expect(missedTargets(report, { a: 0.51, b: 1 })).toEqual([
      'a is 0.500 on Node 24.21.0, the target is at least 0.51',
    ])
  })

  it('may also be the most that a median may be', () => {
    expect(missedTargets(report, { b: { atMost: 20 } })).toEqual([])
    expect(missedTargets(report, { b: { atMost: 19.5 }, a: { '24': { atMost: 0.4 } } })).toEqual([
      'b is 20.000 on Node 24.21.0, the target is at most 19.5',
      'a is 0.500 on Node 24.21.0, the target is at most 0.4',
    ])
  })

  it('depend on the line of Node where they say so', () => {
    const targets = { a: { '22': 0.5 } }
    expect(targetOf(targets, 'a', '22.23.3')).toBe(0.5)
    expect(targetOf(targets, 'a', '24.21.0')).toBeUndefined()
    expect(missedTargets(report, targets)).toEqual([])
  })

  it('are missed by what was not measured', () => {
    expect(missedTargets(report, { gone: 1 })).toEqual(['gone was not measured'])
  })
})

describe('a comparison', () => {
  const times = new Map([
    ['ours', [2, 4]],
    ['theirs', [6, 8]],
  ])
  const sides = { ours: ['ours'], theirs: ['theirs'] }

  it('tells how many times as fast we are, round by round', () => {
    expect(ratiosOf([{ name: 'a', ...sides }], times)).toEqual({ a: { median: 2.5, min: 2, max: 3 } })
  })

  it('tells how many times the time we take where it is asked to', () => {
    expect(ratiosOf([{ name: 'a', ...sides, tells: 'time' }], times)).toEqual({
      a: { median: (2 / 6 + 4 / 8) / 2, min: 2 / 6, max: 4 / 8 },
    })
  })
})

describe('the suite codec', () => {
  const names = Object.keys(SIZES).flatMap((size) => codecComparisons(size).map(({ name }) => name))

  it('measures exactly what its README lists', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const rows = [...readme.matchAll(/^\| `(\w+)` \|.*\| ((?:`[\w+]+`(?:, )?)+) \|$/gm)]
    const listed = rows.flatMap(([, side, operations = '']) =>
      [...operations.matchAll(/`([\w+]+)`/g)].flatMap(([, operation]) =>
        Object.keys(SIZES).map((size) => `${operation}/${size}/${side}`),
      ),
    )
    expect(listed.toSorted()).toEqual(names.toSorted())
    expect(new Set(names).size).toBe(names.length)
  })

  it('has no target for a ratio that does not exist', () => {
    expect(Object.keys(CODEC_TARGETS).filter((name) => !names.includes(name))).toEqual([])
  })

  it('reads each ratio from the rounds of the contenders it names', () => {
    const comparisons = codecComparisons('64B').filter(({ name }) => name === 'wrap+unwrap/64B/floor')
    const times = new Map([
      ['talos wrap', [3, 3]],
      ['talos unwrap', [1, 5]],
      ['floor wrap', [1, 2]],
      ['floor unwrap', [1, 2]],
    ])
    expect(ratiosOf(comparisons, times)).toEqual({
      'wrap+unwrap/64B/floor': { median: 0.5, min: 0.5, max: 0.5 },
    })
    times.delete('floor wrap')
    expect(() => ratiosOf(comparisons, times)).toThrow('floor wrap was not measured')
  })
})
