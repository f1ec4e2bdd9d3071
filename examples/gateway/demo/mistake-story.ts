import { check, checkSame, until } from './checks.ts'
import { compareSecrets } from './comparison.ts'
import type { Keks } from './keks.ts'
import type { Written } from './ledger.ts'
import { openSecrets } from './records.ts'
import { count } from './screen.ts'
import type { World } from './world.ts'

/** The mistake the runbook warns of: v2 is made current and v1 removed, and nobody has rotated. */
export async function makeMistake(
  world: World,
  options: {
    readonly keks: Keks
    /** A copy of the database as it was before the rotation. */
    readonly copy: string
    /** What was written last before the copy was made. */
    readonly written: ReadonlyMap<string, Written>
  },
): Promise<void> {
  const { screen } = world
  const { keks, copy, written } = options
  const { v1: _, ...withoutV1 } = keks
  await world.start(withoutV1, 'v2', copy)
  const complaint = world.gateway.output.split('\n').find((line) => line.includes('not ready'))
  check(complaint?.includes('"v1"') === true, 'the gateway does not say that it misses v1')
  world.curl('GET', '/healthz')
  check(!(await world.operator.ready()), 'the gateway calls itself ready without v1')
  screen.fact('ready: false; the gateway goes on serving what it can:')
  const printed = world.gateway.output.length
  const chat = await world.operator.chat()
  screen.fact(`a chat completion is answered with ${chat.status}: ${chat.body}`)
  const reason = await until(
    'the gateway logs why',
    5000,
    () => world.gateway.output.slice(printed) || undefined,
  )
  screen.quote(reason)
  check(chat.status === 503, `a credential that cannot be opened was answered with ${chat.status}`)
  const listed = await world.operator.list()
  check(
    listed.length === written.size,
    `the listing holds ${listed.length} secrets instead of ${written.size}`,
  )
  screen.fact(`all ${count(listed.length)} secrets are still listed, nothing is lost`)

  await world.stop()
  screen.fact('v1 is put back:')
  await world.start(keks, 'v2', copy)
  world.curl('GET', '/healthz')
  check(await world.operator.ready(), 'the gateway is not ready although v1 is back')
  await world.checkProxy()
  screen.fact('ready: true, and chat completions carry their credential again')
  checkSame(compareSecrets(written, await openSecrets(copy, keks, 'v2', [...written.keys()])))
  screen.fact(`all ${count(written.size)} secrets open`)
  await world.stop()
}
