/**
 * The life of a KEK, driven as an operator would drive it: over HTTP, with real processes.
 *
 *     npm run demo
 *     npm run demo -- --store postgres
 *     npm run demo -- --store redis
 *     npm run demo -- --store dynamodb
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Evidence } from './demo/canary.ts'
import { check, DemoFailure } from './demo/checks.ts'
import { DATABASES, type Databases } from './demo/databases.ts'
import { importPublishedRecord } from './demo/import-v1.ts'
import { generateKeks, kekBytes } from './demo/keks.ts'
import { makeMistake } from './demo/mistake-story.ts'
import { fill, promote, retire, rotate } from './demo/rotation-story.ts'
import { count, Screen } from './demo/screen.ts'
import { Upstream } from './demo/upstream.ts'
import { CREDENTIAL, World } from './demo/world.ts'

/** The store that was asked for. */
function readOptions(): string {
  const { values } = parseArgs({ options: { store: { type: 'string', default: 'sqlite' } } })
  const stores = Object.keys(DATABASES)
  if (!stores.includes(values.store)) {
    throw new DemoFailure(`there is no store "${values.store}"; available: ${stores.join(', ')}`)
  }
  return values.store
}

async function tellStory(world: World): Promise<void> {
  const { screen } = world
  const both = generateKeks('v1', 'v2')
  const { v1, v2 } = both
  for (const [id, text] of Object.entries(both)) world.evidence.watch(`KEK ${id}`, kekBytes(text))

  await screen.step('A gateway under KEK v1', () => world.start({ v1 }, 'v1'))
  await screen.step('Ten thousand secrets', () => fill(world))
  const written = world.ledger.snapshot()
  const before = await screen.step('v2 is added and made current', () => promote(world, both))
  await screen.step('Rotation, with the worker killed half-way', () => rotate(world, both, before))
  await screen.step('v1 is removed', () => retire(world, { v2 }))
  await screen.step('A record of Talos v1 is imported', () => importPublishedRecord(world, { v2 }, 'v2'))
  await screen.step('The mistake: v1 removed without a rotation', () =>
    makeMistake(world, { keks: both, copy: world.copy, written }),
  )
  await screen.step('What leaked', () => searchEvidence(world))
}

async function searchEvidence({ screen, evidence, starts }: World): Promise<void> {
  check(
    evidence.sourcesWith('listening on http').length > starts,
    'the output of a gateway was not collected',
  )
  check(evidence.sourcesWith(`"name":"${CREDENTIAL}"`).length > 0, 'HTTP answers were not collected')
  const findings = evidence.search()
  check(findings.length === 0, `key material was printed or answered: ${findings.join('; ')}`)
  screen.fact(
    `nothing. ${count(evidence.byteLength)} bytes of output and HTTP answers hold no canary, neither as raw`,
  )
  screen.fact(`bytes nor as hex, base64 or base64url. Canaries: ${evidence.watched.join(', ')}`)
}

async function startDatabases(store: string, folder: string): Promise<Databases> {
  const start = DATABASES[store]
  check(start !== undefined, `there is no store "${store}"`)
  return await start(folder)
}

async function run(evidence: Evidence): Promise<void> {
  const store = readOptions()
  const folder = mkdtempSync(join(tmpdir(), 'gateway-demo-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const upstream = new Upstream()
  const upstreamUrl = await upstream.listen()
  const screen = new Screen(evidence)
  const databases = await startDatabases(store, folder)
  if (databases.note !== null) screen.fact(databases.note)
  await tellStory(new World({ screen, evidence, upstream, upstreamUrl, databases }))
}

const evidence = new Evidence()

function fail(error: unknown): never {
  const why = error instanceof Error ? error.message : String(error)
  const leaks = evidence.searchIn(why)
  console.log(
    `\ndemo: failed: ${leaks.length === 0 ? why : `the reason would have shown ${leaks.join(', ')}`}`,
  )
  process.exit(1)
}

// Every way out leads through `exit`, where the gateways are ended and the folder is removed.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, fail)
process.on('uncaughtException', fail)

try {
  await run(evidence)
} catch (error) {
  fail(error)
}
console.log('\ndemo: ok')
process.exit(0)
