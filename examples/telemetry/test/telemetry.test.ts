import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { type Sample, valueIn, withService } from './scrape.ts'

const KEK_1 = { TALOS_KEK_v1: randomBytes(32).toString('base64url') }
const KEK_2 = { TALOS_KEK_v2: randomBytes(32).toString('base64url') }

/** Scrapes of a service under v1, and of the same after its restart with v2, when it has rotated. */
let before: readonly Sample[]
let after: readonly Sample[]

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'telemetry-'))
  try {
    const DATABASE = join(folder, 'secrets.sqlite')
    await withService({ DATABASE, ...KEK_1, TALOS_CURRENT_KEK_ID: 'v1' }, async (service) => {
      before = await service.scrape()
      expect(await service.stop()).toBe(0)
    })
    await withService({ DATABASE, ...KEK_1, ...KEK_2, TALOS_CURRENT_KEK_ID: 'v2' }, async (service) => {
      await vi.waitFor(
        async () => {
          after = await service.scrape()
          expect(valueIn(after, 'rotation_status', { rotation_status: 'completed' })).toBe(1)
        },
        { timeout: 30_000, interval: 200 },
      )
      expect(await service.stop()).toBe(0)
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 60_000)

test('a service under its first KEK is scraped with the records that it has', () => {
  expect(valueIn(before, 'ready')).toBe(1)
  expect(valueIn(before, 'kek_records', { kek_id: 'v1' })).toBe(500)
  expect(valueIn(before, 'stale_records')).toBe(0)
  expect(valueIn(before, 'fleet_instances', { instance_state: 'live' })).toBe(1)
  expect(valueIn(before, 'call_duration_count', { operation: 'put', outcome: 'created' })).toBe(500)
  expect(valueIn(before, 'rotation_status')).toBe(0)
})

test('the rotation after its restart with a second KEK is scraped as it was', () => {
  expect(valueIn(after, 'promotions_total', { kek_id: 'v2' })).toBe(1)
  expect(valueIn(after, 'rotation_records_total', { outcome: 'rewrapped' })).toBe(500)
  expect(valueIn(after, 'rotation_records_total', { outcome: 'failed' })).toBe(0)
  expect(valueIn(after, 'kek_records', { kek_id: 'v1' })).toBe(0)
  expect(valueIn(after, 'kek_records', { kek_id: 'v2' })).toBe(500)
  expect([valueIn(after, 'stale_records'), valueIn(after, 'stale_age')]).toEqual([0, 0])
  expect(valueIn(after, 'rotation_quarantined')).toBe(0)
  expect(valueIn(after, 'call_duration_count', { operation: 'put', outcome: 'conflict' })).toBe(500)
  expect(valueIn(after, 'kek_age')).toBeGreaterThan(0)
  expect(valueIn(after, 'kek_age')).toBeLessThan(60)
})

const read = (file: string): string => readFileSync(join(import.meta.dirname, '..', file), 'utf8')

interface Target {
  readonly expr: string
  readonly legendFormat: string
}
const { panels } = JSON.parse(read('dashboard.json')) as {
  readonly panels: readonly { readonly targets: readonly Target[] }[]
}
const TARGETS = panels.flatMap(({ targets }) => targets)
const DASHBOARD = TARGETS.map(({ expr }) => expr)
const ALERTS = [...read('alerts.yml').matchAll(/^ *expr: (.+)$/gm)].map(([, expression = '']) => expression)

/** The labels that an expression groups by, joins on or selects. */
function labelsIn(expression: string): string[] {
  return [...expression.matchAll(/(?:by|on) \(([^)]*)\)|\{([^}]*)\}/g)]
    .flatMap(([, listed, selected]) => (listed ?? selected ?? '').split(/[,\s]+/))
    .map((part) => part.replace(/[=!~].*/, ''))
    .filter((label) => /^(talos_|error_)/.test(label))
}

/** The metrics that an expression reads: what is left of its names without its labels. */
function metricsIn(expression: string): string[] {
  const rest = expression.replaceAll(/(?:by|on) \([^)]*\)|\{[^}]*\}/g, '')
  return rest.match(/[a-z_]*talos[a-z_]*/g) ?? []
}

test('every metric and every label that the alerts and the dashboard name is in the scrape', () => {
  const scraped = new Set(after.map(({ name }) => name))
  // Only faults have the last two, and this service met none.
  const labels = new Set([
    ...after.flatMap((sample) => Object.keys(sample.labels)),
    'error_type',
    'talos_envelope_during',
  ])
  for (const expressions of [ALERTS, DASHBOARD]) {
    expect(expressions.length).toBeGreaterThan(9)
    expect(expressions.filter((expression) => metricsIn(expression).length === 0)).toEqual([])
    expect(expressions.flatMap(metricsIn).filter((name) => !scraped.has(name))).toEqual([])
    expect(expressions.flatMap(labelsIn).filter((label) => !labels.has(label))).toEqual([])
  }
})

test('every legend of the dashboard shows labels that its expression keeps', () => {
  const lost = TARGETS.flatMap(({ expr, legendFormat }) =>
    [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].filter(([, label = '']) => !labelsIn(expr).includes(label)),
  )
  expect(lost).toEqual([])
})

test('every metric that is scraped is on the dashboard', () => {
  const family = (name: string): string => name.replace(/_(bucket|count|sum)$/, '')
  const shown = new Set(DASHBOARD.flatMap(metricsIn).map(family))
  const scraped = after.map(({ name }) => family(name)).filter((name) => name.startsWith('talos_'))
  expect(scraped.filter((name) => !shown.has(name))).toEqual([])
})

test('every alert says what is wrong and what to do', () => {
  const text = read('alerts.yml')
  const count = (member: string): number =>
    [...text.matchAll(new RegExp(`^ *${member}: ".+\\."$`, 'gm'))].length
  expect([count('summary'), count('runbook')]).toEqual([ALERTS.length, ALERTS.length])
})
