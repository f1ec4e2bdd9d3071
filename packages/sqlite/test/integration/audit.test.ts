import { setTimeout } from 'node:timers/promises'
import { type AuditEvent, type SecretStore, StoreAudit } from '@talos/envelope'
import { expect, test } from 'vitest'
import { databaseFile } from '../database-file.ts'
import { Child } from './child.ts'

const EVENTS = 300
/** More than any test waits for. */
const ENDLESS = '1000000'
const KILLS = 6

/** The whole trail, newest first. */
async function trail(store: SecretStore): Promise<readonly AuditEvent[]> {
  const audit = new StoreAudit(store, { now: Date.now })
  const events: AuditEvent[] = []
  let cursor: string | null = null
  do {
    const page = await audit.list({ cursor, limit: 100 })
    expect(page.unreadable).toEqual([])
    events.push(...page.items)
    cursor = page.next
  } while (cursor !== null)
  return events
}

async function over(child: Child): Promise<void> {
  while ((await child.line()) !== 'over');
}

test(`two processes that append audit events at once, one of them ${EVENTS}, lose none, double none and list newest first`, async () => {
  const file = databaseFile()
  const store = await file.migrated()
  const steady = new Child('audit', file.path, ENDLESS)
  const other = new Child('audit', file.path, String(EVENTS))
  const children = [steady, other]
  await Promise.all(children.map((child) => child.line()))
  const startedAt = performance.now()
  steady.go()
  await steady.line()
  other.go()
  await over(other)
  // It goes on all the while, and appends one more: neither is done before the other begins.
  steady.go()
  await over(steady)
  const elapsedMs = performance.now() - startedAt
  const events = await trail(store)
  let turns = 0
  for (const [index, event] of events.slice(1).entries())
    turns += event.process === events[index]?.process ? 0 : 1
  const [own, others] = children.map((child) => child.lines.slice(1, -1)) as [string[], string[]]
  expect(events).toHaveLength(own.length + EVENTS)
  for (const said of [own, others]) {
    const ids = new Set(said)
    expect(events.flatMap(({ id }) => (ids.has(id) ? [id] : []))).toEqual(said.toReversed())
  }
  // One after the other would prove nothing about both at once.
  expect(turns).toBeGreaterThan(1)
  console.log(
    `${own.length} + ${EVENTS} audit events in ${Math.round(elapsedMs)} ms, ${turns} changes of turn, none lost or doubled`,
  )
}, 60_000)

test(`${KILLS} processes killed while another one goes on appending lose no audit event that was acknowledged`, async () => {
  const file = databaseFile()
  const store = await file.migrated()
  const appending = async (): Promise<Child> => {
    const child = new Child('audit', file.path, ENDLESS)
    await child.line()
    child.go()
    await child.line()
    return child
  }
  const steady = await appending()
  const acknowledged: string[] = []
  for (let kill = 0; kill <= KILLS; kill += 1) {
    const child = kill < KILLS ? await appending() : steady
    // Into the middle of some append; nothing waits for this time to be long enough.
    await setTimeout(Math.random() * 50)
    await child.kill()
    acknowledged.push(...child.lines.slice(1))
  }
  const ids = (await trail(store)).map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(acknowledged.filter((id) => !ids.includes(id))).toEqual([])
  // Each may have written one event more than it could say.
  expect(ids.length - acknowledged.length).toBeLessThanOrEqual(KILLS + 1)
  console.log(
    `${KILLS + 1} kills, ${acknowledged.length} acknowledged audit events, 0 lost, ${ids.length} there`,
  )
}, 60_000)
