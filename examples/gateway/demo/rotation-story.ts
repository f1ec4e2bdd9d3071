import { check, checkSame, inParallel, until } from './checks.ts'
import { compareRecords, compareSecrets, countByWorker } from './comparison.ts'
import type { Keks } from './keks.ts'
import type { RotationAnswer } from './operator.ts'
import { openSecrets, type RecordFacts, readRecords } from './records.ts'
import { count, seconds } from './screen.ts'
import { Traffic, updateByHand } from './traffic.ts'
import { CREDENTIAL, type World } from './world.ts'

const SECRETS = 10_000
const UPDATES = 200
const RATE_LIMIT = 1500
const CONNECTIONS = 16
/** Enough to show, and enough left to do. */
const KILL_AFTER = 3000
const LEASE_S = 15
const ROTATION_TIMEOUT_MS = 60_000

/** Fills the database under v1. */
export async function fill(world: World): Promise<void> {
  const { screen, ledger, operator } = world
  world.curl('POST', '', `{"name": "${CREDENTIAL}", "value": "sk-…"}`)
  const names = [CREDENTIAL]
  for (let n = 1; n < SECRETS; n += 1) names.push(`team-${String(n).padStart(5, '0')}/openai`)
  const startedAt = performance.now()
  await inParallel(names, CONNECTIONS, async (name) => {
    const value = ledger.newValue()
    await operator.put(name, value)
    ledger.acknowledge(name, value)
    screen.progress({ done: ledger.size, total: SECRETS, note: `${count(ledger.size)} secrets` })
  })
  const elapsedMs = performance.now() - startedAt
  check(ledger.size === SECRETS, `only ${ledger.size} secrets were acknowledged`)
  const perSecond = Math.round((SECRETS / elapsedMs) * 1000)
  screen.fact(`${count(SECRETS)} secrets in ${seconds(elapsedMs)}, ${count(perSecond)} a second`)
  await world.checkProxy()
  screen.fact(`a chat completion through the gateway carried the credential ${CREDENTIAL}`)
}

/**
 * Makes v2 current by a restart that adds it.
 *
 * @returns All records as they were under v1.
 */
export async function promote(world: World, keks: Keks): Promise<ReadonlyMap<string, RecordFacts>> {
  const { screen } = world
  await world.stop()
  await world.putCopyAside()
  screen.fact('a copy of the database is put aside for the last part')
  const before = await readRecords(world.database, keks)
  check(before.size === SECRETS, `the database holds ${before.size} records`)
  rememberDeks(world, before)
  await world.start(keks, 'v2')
  world.curl('GET', '/kek-status')
  const status = await until('v2 becomes current', LEASE_S * 2000, async () => {
    const answer = await world.operator.kekStatus()
    return answer.current_kek_id === 'v2' ? answer : undefined
  })
  const stale = status.stale_counts['v1']
  screen.fact(`current: ${status.current_kek_id}, stale_counts: ${JSON.stringify(status.stale_counts)}`)
  check(stale === SECRETS, `kek-status counts ${stale} secrets under v1 instead of ${SECRETS}`)
  return before
}

/** Rotates, with one worker killed at its work and another one finishing it, while secrets are used and changed. */
export async function rotate(
  world: World,
  keks: Keks,
  before: ReadonlyMap<string, RecordFacts>,
): Promise<void> {
  const { screen, ledger } = world
  const updates = spread(ledger.names, UPDATES)
  const traffic = new Traffic(world)
  world.curl('POST', '/rotate-all', `{"rate_limit": ${RATE_LIMIT}}`)
  const { op_id: operationId, message } = await world.operator.rotateAll(RATE_LIMIT)
  screen.fact(`202: ${message}`)
  screen.fact(`meanwhile ${UPDATES} secrets are overwritten by hand, and the application goes on calling`)
  world.curl('GET', `/rotation-status/${operationId}`)

  const [early] = await Promise.all([
    follow(world, operationId, 'rotating', ({ stats }) => stats.rotated >= KILL_AFTER).then(
      async (answer) => {
        check(answer.status === 'running', 'the rotation was over before it could be interrupted')
        return await killAndRestart(world, keks, operationId)
      },
    ),
    updateByHand(world, updates.slice(0, UPDATES / 2)),
  ])
  screen.fact(
    `a killed worker hands nothing over: its lease of ${LEASE_S} s must run out before another takes over`,
  )
  screen.fact('(a promotion would wait for it in the same way)')
  const resumed = await follow(
    world,
    operationId,
    'waiting for the lease',
    ({ stats }) => stats.rotated > early.rotated,
  )
  check(resumed.status === 'running', 'the rest was done before it could be watched')
  const [completed] = await Promise.all([
    follow(world, operationId, 'rotating', ({ status }) => status === 'completed'),
    updateByHand(world, updates.slice(UPDATES / 2)),
  ])
  const calls = await traffic.stop()

  screen.fact(`completed: ${JSON.stringify(completed.stats)}`)
  check(completed.stats.failed === 0, `${completed.stats.failed} secrets could not be re-wrapped`)
  screen.fact(`${count(calls)} chat completions meanwhile, every one with the right credential`)
  await checkListing(world, early.killedAt, completed.stats.rotated - early.rotated)
  const after = await readRecords(world.database, keks)
  rememberDeks(world, after)
  checkSame(compareRecords(before, after, new Set(updates), 'v2'))
  screen.fact(
    `checked with node:crypto: all are under v2; ${count(SECRETS - UPDATES)} kept DEK and ciphertext,`,
  )
  screen.fact(`and the ${UPDATES} that were overwritten have a DEK of their own`)
}

/** Takes v1 away and opens everything. */
export async function retire(world: World, keks: Keks): Promise<void> {
  const { screen, ledger } = world
  world.curl('GET', '/kek-status')
  const { stale_counts: staleCounts } = await world.operator.kekStatus()
  screen.fact(`stale_counts: ${JSON.stringify(staleCounts)}`)
  check(staleCounts['v1'] === 0, `kek-status still counts ${staleCounts['v1']} secrets under v1`)
  await world.stop()
  await world.start(keks, 'v2')
  world.curl('GET', '/healthz')
  check(await world.operator.ready(), 'the gateway is not ready without v1')
  screen.fact('ready without v1')
  await world.checkProxy()
  checkSame(compareSecrets(ledger.snapshot(), await openSecrets(world.database, keks, 'v2', ledger.names)))
  screen.fact(
    `all ${count(ledger.size)} secrets open under v2 alone, each to the value that was written last`,
  )
  await world.stop()
}

interface Interruption {
  readonly killedAt: Date
  /** Saved as re-wrapped when the first worker died. */
  readonly rotated: number
}

async function killAndRestart(world: World, keks: Keks, operationId: string): Promise<Interruption> {
  const { screen } = world
  await world.kill()
  const killedAt = new Date()
  await world.start(keks, 'v2')
  const { stats, status } = await world.operator.rotation(operationId)
  const { stale_counts: staleCounts } = await world.operator.kekStatus()
  const left = staleCounts['v1'] ?? 0
  screen.fact(
    `killed with ${count(stats.rotated)} secrets saved as re-wrapped and ${count(left)} left under v1`,
  )
  check(status === 'running', `the operation is ${status} after the kill`)
  check(stats.rotated > 0, 'nothing was re-wrapped before the kill')
  check(left > 0, 'no work was left at the kill')
  return { killedAt, rotated: stats.rotated }
}

/** Shows an operation's progress until it is as wanted. */
async function follow(
  world: World,
  operationId: string,
  note: string,
  wanted: (answer: RotationAnswer) => boolean,
): Promise<RotationAnswer> {
  const startedAt = performance.now()
  return await until(`the rotation: ${note}`, ROTATION_TIMEOUT_MS, async () => {
    const answer = await world.operator.rotation(operationId)
    const { status, stats } = answer
    check(
      status === 'running' || status === 'completed',
      `the rotation is ${status}: ${answer.last_error?.message}`,
    )
    const done = status === 'completed' ? SECRETS : stats.scanned
    const figures = `${count(stats.rotated)} re-wrapped, ${note}, ${seconds(performance.now() - startedAt)}`
    world.screen.progress({ done, total: SECRETS, note: figures })
    return wanted(answer) ? answer : undefined
  })
}

/** Counts by the records themselves, not by the operation's totals, what either worker did. */
async function checkListing(world: World, killedAt: Date, reported: number): Promise<void> {
  const listed = await world.operator.list()
  const names = new Set(listed.map(({ name }) => name))
  check(
    names.size === SECRETS && world.ledger.names.every((name) => names.has(name)),
    'the listing is not complete',
  )
  const stale = listed.filter(({ key_id }) => key_id !== 'v2')
  check(stale.length === 0, `${stale.length} secrets are not under v2`)
  const { before, after, never } = countByWorker(listed, killedAt)
  world.screen.fact(
    `re-wrapped before the kill: ${count(before)}; after it: ${count(after)}; by hand: ${count(never)}`,
  )
  check(before > 0, 'nothing was re-wrapped before the kill')
  check(after > 0, 'nothing was re-wrapped after the kill')
  check(never === UPDATES, `${never} secrets were never re-wrapped, but ${UPDATES} were overwritten`)
  check(
    reported <= after + UPDATES,
    `the operation claims ${reported} after the kill, the records say ${after}`,
  )
}

/**
 * Names from all over the listing, in an order that is ahead of the rotation at one time and behind it at the next; the
 * gateway's own credential is not among them.
 */
function spread(names: readonly string[], wanted: number): readonly string[] {
  const step = Math.floor(names.length / wanted)
  // Names are in the order in which their puts were answered, and the credential's may have been overtaken.
  const others = names.filter((name) => name !== CREDENTIAL)
  const chosen = others.filter((_, index) => index % step === 1).slice(0, wanted)
  const stride = 73
  check(chosen.length === wanted && wanted % stride !== 0, `there are no ${wanted} names to overwrite`)
  return chosen.map((_, index) => chosen[(index * stride) % wanted] ?? '')
}

function rememberDeks(world: World, records: ReadonlyMap<string, RecordFacts>): void {
  const dek = records.get(CREDENTIAL)?.dek
  check(dek !== undefined, `${CREDENTIAL} is not in the database`)
  world.evidence.watch(`the DEK of ${CREDENTIAL}`, dek)
}
