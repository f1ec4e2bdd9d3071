import type { AuditSink, CallOptions, SecretVault } from '@talos/envelope'
import { openVault } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { expect, test } from 'vitest'
import { ONLY_V1, testDomain, unavailable } from '../support/vaults.ts'

const AUDIT = { actor: 'ops@example.org', reason: 'ticket 7' }

async function eventsOf(vault: SecretVault) {
  const { items } = await vault.auditEvents()
  return items
    .filter(({ action }) => action.endsWith('_secret'))
    .map(({ action, phase, actor, reason, details: { name, outcome, code } }) => ({
      ...{ action, phase, actor, reason, name, outcome, code },
    }))
    .reverse()
}

test('put and delete are recorded before and after where that is asked for, and not otherwise', async () => {
  const vault = await testDomain().open(ONLY_V1)
  await vault.put('silent', 'value')
  await vault.delete('silent')
  await vault.put('openai/prod', 'value', { audit: AUDIT })
  await vault.put('openai/prod', 'other', { audit: AUDIT, expectedVersion: 7 })
  await vault.delete('openai/prod', { audit: { reason: 'gone' } })
  await vault.delete('openai/prod', { audit: {} })
  const told = { ...AUDIT, name: 'openai/prod' }
  const put = { action: 'put_secret', ...told }
  const gone = { action: 'delete_secret', name: 'openai/prod', actor: null, reason: 'gone' }
  expect(await eventsOf(vault)).toEqual([
    { ...put, phase: 'intent' },
    { ...put, phase: 'done', outcome: 'created' },
    { ...put, phase: 'intent' },
    { ...put, phase: 'done', outcome: 'conflict' },
    { ...gone, phase: 'intent' },
    { ...gone, phase: 'done', outcome: 'deleted' },
    { ...gone, phase: 'intent', reason: null },
    { ...gone, phase: 'done', outcome: 'missing', reason: null },
  ])
})

test('a refused put is recorded with its code and without its value, and a name that is none is not recorded', async () => {
  const vault = await testDomain().open(ONLY_V1)
  const tooLong = 'hunter2'.repeat(20_000)
  await expect(vault.put('a', tooLong, { audit: AUDIT })).rejects.toMatchObject({
    code: 'ERR_VALUE_TOO_LARGE',
  })
  expect(await eventsOf(vault)).toMatchObject([
    { phase: 'intent' },
    { phase: 'failed', code: 'ERR_VALUE_TOO_LARGE' },
  ])
  expect(JSON.stringify(await vault.auditEvents())).not.toContain('hunter2')
  await expect(vault.put('', 'value', { audit: AUDIT })).rejects.toThrow(TypeError)
  await expect(vault.delete('a\0', { audit: AUDIT })).rejects.toThrow(TypeError)
  expect(await eventsOf(vault)).toHaveLength(2)
})

test('what is to be recorded is not written when its intent cannot be kept, by a view of the vault neither', async () => {
  const { store } = testDomain()
  let down = false
  const audit: AuditSink = { append: () => (down ? Promise.reject(unavailable()) : Promise.resolve()) }
  await using vault = await openVault({ store, namespace: 'gateway', keys: ONLY_V1, audit })
  await vault.put('kept', 'value')
  down = true
  const refused = { code: 'ERR_AUDIT_UNAVAILABLE', retryable: true }
  for (const view of [vault, vault.within(store)]) {
    await expect(view.put('new', 'value', { audit: AUDIT })).rejects.toMatchObject(refused)
    await expect(view.delete('kept', { audit: AUDIT })).rejects.toMatchObject(refused)
  }
  expect(await vault.get('new')).toBeNull()
  expect((await vault.get('kept'))?.text()).toBe('value')
  await vault.put('new', 'value')
})

test('recording and the change have the time of one call together', async () => {
  const domain = testDomain()
  const left: (number | undefined)[] = []
  const store = interceptStore(domain.store, ({ method, args, proceed }) => {
    if (method === 'write') left.push((args[2] as CallOptions).timeoutMs)
    return proceed()
  })
  const kept = Promise.withResolvers<void>()
  const audit: AuditSink = { append: ({ phase }) => (phase === 'intent' ? kept.promise : Promise.resolve()) }
  const { runtime } = domain.clock
  await using vault = await openVault({ store, namespace: 'gateway', keys: ONLY_V1, audit, runtime })
  const written = vault.put('a', 'value', { audit: AUDIT, timeoutMs: 10_000 })
  await domain.clock.advance(6_000)
  kept.resolve()
  expect(await written).toMatchObject({ outcome: 'created' })
  expect(left).toEqual([4_000])
})

test('notes that are none are refused before anything is recorded or written', async () => {
  const vault = await testDomain().open(ONLY_V1)
  for (const audit of [null, 'ops', { actor: 'two\nlines' }, { reason: 7 }]) {
    await expect(vault.put('a', 'value', { audit: audit as never })).rejects.toThrow(TypeError)
  }
  expect(await eventsOf(vault)).toEqual([])
  expect(await vault.get('a')).toBeNull()
})
