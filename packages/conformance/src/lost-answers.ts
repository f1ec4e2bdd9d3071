import assert from 'node:assert/strict'
import { codeOf } from './failure-checks.ts'
import { nextTurn } from './records.ts'
import type { ProxiedClient } from './store-hooks.ts'

const RECOVERY_MS = 10_000

/** How a call ended, and whether it came to the answer at which it was to be disturbed. */
interface Disturbed {
  readonly end: string
  readonly reached: boolean
}

/** Makes a call whose n-th answer is lost, and waits until the client works again. */
export async function losingAnswer(
  { store, proxy }: ProxiedClient,
  n: number,
  call: () => Promise<string>,
): Promise<Disturbed> {
  // What a connection says when it is opened is none of the answers.
  await recovered(() => store.readDocument('none'))
  const before = proxy.cuts()
  proxy.cutAnswer(n)
  const end = await call().catch(codeOf)
  proxy.cutAnswer(0)
  await recovered(() => store.readDocument('none'))
  return { end, reached: proxy.cuts() > before }
}

/**
 * Makes a call whose n-th answer is the last one: behind it the backend is away until the call has ended.
 *
 * @param away - Makes the backend unreachable until what it answers is called.
 */
export async function losingBackend(
  { store, proxy }: ProxiedClient,
  n: number,
  call: () => Promise<string>,
  away: () => Promise<() => Promise<void>>,
): Promise<Disturbed> {
  await recovered(() => store.readDocument('none'))
  const before = proxy.answers()
  const ended = call().catch(codeOf)
  const settled = ended.then(() => true)
  let back: (() => Promise<void>) | undefined
  // In the turn in which the answer is passed on, before anybody can ask on.
  while (back === undefined && !(await Promise.race([settled, nextTurn()]))) {
    if (proxy.answers() >= before + n) back = await away()
  }
  const end = await ended
  await back?.()
  await recovered(() => store.readDocument('none'))
  return { end, reached: back !== undefined }
}

/** Calls until it succeeds: a pool may hand out connections that were cut before it notices. */
export async function recovered(call: () => Promise<unknown>): Promise<void> {
  const until = performance.now() + RECOVERY_MS
  while ((await endOf(call)) !== 'no error') {
    assert.ok(performance.now() < until, `nothing works ${RECOVERY_MS} ms after the fault`)
    await nextTurn()
  }
}

/** The code of the error that a call ends with, or `no error`. */
export function endOf(call: () => Promise<unknown>): Promise<string> {
  return call().then(() => 'no error', codeOf)
}
