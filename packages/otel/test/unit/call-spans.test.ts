import { context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { MemoryStore, type SecretStore, StoreError } from '@talos/envelope'
import { interceptStore } from '@talos/envelope/testing'
import { describe, expect, it } from 'vitest'
import { short, testSdk } from '../support/sdk.ts'
import { keys, open } from '../support/vaults.ts'

const store = (): MemoryStore => new MemoryStore({ level: 'strong' })

function spansOf(sdk: ReturnType<typeof testSdk>): unknown[] {
  return sdk.spans().map(({ name, attributes }) => [name.replace('talos.envelope.', ''), short(attributes)])
}

describe('a span of a call', () => {
  it('has its outcome, and ids and counts where there are some', async () => {
    const sdk = testSdk()
    const vault = await open({ tracerProvider: sdk.tracerProvider })
    await vault.put('a', 'value')
    await vault.put('a', 'value', { expectedVersion: 7 })
    await vault.get('a')
    await vault.get('b')
    await vault.getMany(['a', 'b'])
    await vault.reencrypt('a')
    await vault.delete('a')
    const { id } = await vault.rotate()
    expect(spansOf(sdk)).toEqual([
      ['put', { outcome: 'created' }],
      ['put', { outcome: 'conflict' }],
      ['get', { outcome: 'found', 'kek.id': 'v1' }],
      ['get', { outcome: 'missing' }],
      ['get_many', { outcome: 'partly', secrets: 2 }],
      ['reencrypt', { outcome: 'reencrypted' }],
      ['delete', { outcome: 'deleted' }],
      ['rotate', { outcome: 'started', 'rotation.id': id, 'rotation.waiting': 0 }],
    ])
    expect(sdk.spans().map(({ attributes }) => attributes['talos.envelope.namespace'])).toEqual(
      Array.from({ length: 8 }, () => 'gateway'),
    )
  })

  it('is a child of the active span, and the parent of what the store does meanwhile', async () => {
    const sdk = testSdk()
    sdk.register()
    const seen: (string | undefined)[] = []
    const seeing = interceptStore(store(), ({ method, proceed }) => {
      if (method === 'read') seen.push(trace.getActiveSpan()?.spanContext().spanId)
      return proceed()
    })
    const vault = await open({}, { store: seeing })
    const request = trace.getTracer('test').startSpan('request')
    await context.with(trace.setSpan(context.active(), request), () => vault.get('name'))
    const [span] = sdk.spans()
    expect(span?.parentSpanContext?.spanId).toBe(request.spanContext().spanId)
    expect(seen.at(-1)).toBe(span?.spanContext().spanId)
  })

  it('that fails says so by the code of the error and nothing else of it', async () => {
    const sdk = testSdk()
    let away = false
    const breaking = interceptStore(store(), ({ proceed }) => {
      if (away) throw new StoreError('ERR_STORE_UNAVAILABLE', 'The test took "a-name" away.')
      return proceed()
    })
    const vault = await open({ tracerProvider: sdk.tracerProvider }, { store: breaking })
    away = true
    await expect(vault.get('a-name')).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    await expect(vault.get('')).rejects.toThrow(TypeError)
    away = false
    const [outage, misuse] = sdk.spans()
    expect(outage?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'ERR_STORE_UNAVAILABLE' })
    expect(outage?.attributes['error.type']).toBe('ERR_STORE_UNAVAILABLE')
    expect(misuse?.attributes['error.type']).toBe('TypeError')
    expect(sdk.exported()).not.toContain('a-name')
  })

  it('is made for the calls of a view too', async () => {
    const sdk = testSdk()
    const backend = store()
    const vault = await open({ tracerProvider: sdk.tracerProvider }, { store: backend })
    const view = vault.within(backend)
    await view.put('a', 'value')
    expect((await view.get('a'))?.text()).toBe('value')
    expect(spansOf(sdk)).toEqual([
      ['put', { outcome: 'created' }],
      ['get', { outcome: 'found', 'kek.id': 'v1' }],
    ])
  })
})

describe('an instrumented vault', () => {
  it('is the vault in everything else', async () => {
    const vault = await open()
    await vault.put('a', 'value')
    expect([vault.ready, vault.namespace]).toEqual([true, 'gateway'])
    const { listPage } = vault
    expect((await listPage()).items.map(({ name }) => name)).toEqual(['a'])
    expect((await vault.status()).currentKekId).toBe('v1')
    expect((await vault.keks.checkRetirement('v1')).verdict).toBe('NOT_SAFE')
    await vault[Symbol.asyncDispose]()
    await expect(vault.get('a')).rejects.toMatchObject({ code: 'ERR_VAULT_CLOSED' })
  })

  it('lets the listener that it was given hear every event', async () => {
    const heard: string[] = []
    const vault = await open({}, { onEvent: ({ type }) => heard.push(type) })
    await vault.get('a')
    expect(heard).toContain('readiness')
    expect(heard.at(-1)).toBe('call')
  })

  it('keeps its background work out of the traces of those that open it and start, resume or retry rotations', async () => {
    const sdk = testSdk()
    sdk.register()
    const seen = new Set<string | undefined>()
    const backend = store()
    const seeing: SecretStore = interceptStore(backend, ({ method, proceed }) => {
      if (method === 'scan' || method === 'writeDocument')
        seen.add(trace.getActiveSpan()?.spanContext().traceId)
      return proceed()
    })
    const former = await open({}, { store: backend })
    for (const name of ['a', 'b', 'c']) await former.put(name, 'value')
    await former.close()
    const request = trace.getTracer('test').startSpan('request')
    await context.with(trace.setSpan(context.active(), request), async () => {
      const vault = await open({}, { store: seeing, keys: keys('v2', 'v1') })
      const { id } = await vault.rotate({ ratePerSecond: 1 })
      await context.with(ROOT_CONTEXT, () => vault.rotations.pause(id))
      await vault.rotations.resume(id)
      await expect.poll(async () => (await vault.rotations.get(id))?.totals.rewrapped).toBeGreaterThan(0)
      expect(await vault.rotations.retryFailed(id)).toMatchObject({ id, status: 'running' })
      expect(trace.getActiveSpan()).toBe(request)
      await context.with(ROOT_CONTEXT, () => vault.close())
    })
    expect([...seen]).toEqual([undefined])
  })
})
