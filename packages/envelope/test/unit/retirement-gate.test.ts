import {
  type AuditEvent,
  type AuditSink,
  type CallOptions,
  type CheckRetirementOptions,
  type DeclaredSource,
  MemoryStore,
  openVault,
  type SecretStore,
  type SecretVault,
  sealKek,
} from '@talos/envelope'
import { type HeldClock, heldClock, interceptStore } from '@talos/envelope/testing'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { BOTH_WISH_V2, ONLY_V1, unavailable, V1 } from '../support/vaults.ts'

interface Options {
  readonly level?: 'strong' | 'advisory'
  readonly declaredSources?: readonly DeclaredSource[]
  readonly audit?: AuditSink
  /** What stands between the vault and its store. */
  readonly through?: (store: SecretStore) => SecretStore
}

const LOSS: CheckRetirementOptions = { acceptLossOfBackups: 'there are no backups' }

/** v1, empty and fenced, and an instance with both; nothing is wanting but an escrow. */
async function fenced(
  options: Options = {},
): Promise<{ store: MemoryStore; vault: SecretVault; clock: HeldClock }> {
  const clock = heldClock()
  const { level = 'strong', declaredSources = [], audit, through = (store: SecretStore) => store } = options
  const store = new MemoryStore({ monotonicMs: clock.runtime.monotonicMs, level })
  const common = { namespace: 'gateway', runtime: clock.runtime }
  await (await openVault({ ...common, store, keys: ONLY_V1 })).close()
  const vault = await openVault({
    ...common,
    store: through(store),
    keys: BOTH_WISH_V2,
    declaredSources,
    ...(audit === undefined ? {} : { audit }),
  })
  onTestFinished(() => vault.close())
  return { store, vault, clock }
}

const documentOf = async (store: SecretStore): Promise<string> => {
  const stored = await store.readDocument('keyring')
  return `${stored?.revision} ${stored?.value}`
}

/** Raises the epoch behind the vault's back, as another instance's command does. */
async function anotherCommand(store: SecretStore): Promise<void> {
  const stored = await store.readDocument('keyring')
  const document = JSON.parse(stored?.value ?? '')
  document.epoch += 1
  await store.writeDocument('keyring', stored?.revision ?? 0, JSON.stringify(document))
}

describe('the evidence of a certificate', () => {
  test('is of one epoch: what was gathered while the document changed is gathered again', async () => {
    let changes = 2
    let censuses = 0
    const { store, vault } = await fenced({
      through: (inner) =>
        interceptStore(inner, async ({ method, proceed }) => {
          const answer = await proceed()
          if (method !== 'census') return answer
          censuses += 1
          if (changes > 0) await anotherCommand(inner)
          changes -= 1
          return answer
        }),
    })
    const certificate = await vault.keks.checkRetirement('v1', LOSS)
    expect(censuses).toBe(3)
    expect(certificate.epoch).toBe(JSON.parse((await store.readDocument('keyring'))?.value ?? '').epoch)
    // This instance reports with its next heartbeat what it has seen just now.
    expect(certificate.reasons.map(({ code }) => code)).toEqual(['instance_behind'])
  })

  test('is given up when the document never stands still', async () => {
    const { store, vault } = await fenced({
      through: (inner) =>
        interceptStore(inner, async ({ method, proceed }) => {
          if (method === 'census') await anotherCommand(inner)
          return await proceed()
        }),
    })
    const refusal = { code: 'ERR_EPOCH_CHANGED', retryable: true }
    await expect(vault.keks.checkRetirement('v1', LOSS)).rejects.toMatchObject(refusal)
    await expect(vault.keks.retire('v1', LOSS)).rejects.toMatchObject(refusal)
    expect(JSON.parse((await store.readDocument('keyring'))?.value ?? '').keks.v1.state).toBe('decrypt-only')
  })

  test('is judged anew when somebody changes the document between the verdict and the tombstone', async () => {
    let armed = false
    const { store, vault } = await fenced({
      through: (inner) =>
        interceptStore(inner, async ({ method, args, proceed }) => {
          if (armed && method === 'writeDocument' && args[0] === 'keyring') {
            armed = false
            const stored = await inner.readDocument('keyring')
            const document = JSON.parse(stored?.value ?? '')
            // Another operator brings v1 back to life at the last moment.
            document.keks.v1 = { ...document.keks.v1, state: 'current', fence: null }
            document.keks.v2 = {
              ...document.keks.v2,
              state: 'decrypt-only',
              fence: document.keks.v1.fence ?? FENCE,
            }
            document.epoch += 1
            await inner.writeDocument('keyring', stored?.revision ?? 0, JSON.stringify(document))
          }
          return await proceed()
        }),
    })
    armed = true
    await expect(vault.keks.retire('v1', LOSS)).rejects.toMatchObject({ code: 'ERR_TRANSITION_REFUSED' })
    expect(armed).toBe(false)
    expect(JSON.parse((await store.readDocument('keyring'))?.value ?? '').keks.v1.state).toBe('current')
  })

  test('does not take for a 0 what a declared source answers instead of a count', async () => {
    for (const answer of [null, undefined, '0', 0n, Number.NaN, -1, 0.5]) {
      const count = async (): Promise<number> => answer as number
      const { store, vault } = await fenced({ declaredSources: [{ name: 'sessions', count }] })
      const before = await documentOf(store)
      const { verdict, reasons, evidence } = await vault.keks.checkRetirement('v1', LOSS)
      expect([verdict, reasons.map(({ code }) => code)]).toEqual(['NOT_SAFE', ['source_not_counted']])
      expect(reasons[0]?.message).toContain(
        '"sessions" answered something its contract rules out: a count is',
      )
      expect(evidence.S4.sources[0]).toMatchObject({
        envelopes: null,
        fault: { code: 'ERR_SOURCE_CONTRACT' },
      })
      await expect(vault.keks.retire('v1', LOSS)).rejects.toMatchObject({ code: 'ERR_NOT_SAFE_TO_RETIRE' })
      expect(await documentOf(store)).toBe(before)
    }
  })

  test('says which declared source could not be counted, with a code and never with what it threw', async () => {
    const thrown: readonly (readonly [unknown, RegExp])[] = [
      [new Error('password=hunter2'), /"sessions" threw an error of its own\. Mend/],
      [Object.assign(new Error('hunter2'), { code: 'ECONNREFUSED' }), /own \(code ECONNREFUSED\)\. Mend/],
      [Object.assign(new Error('hunter2'), { code: 'hunter2 is no code' }), /of its own\. Mend/],
      ['hunter2', /of its own\. Mend/],
      [unavailable(), /failed with ERR_STORE_UNAVAILABLE\./],
    ]
    for (const [error, said] of thrown) {
      const count = async (): Promise<number> => {
        throw error
      }
      const { vault } = await fenced({ declaredSources: [{ name: 'sessions', count }] })
      const certificate = await vault.keks.checkRetirement('v1', LOSS)
      expect(certificate.reasons.map(({ code }) => code)).toEqual(['source_not_counted'])
      expect(certificate.reasons[0]?.message).toMatch(said)
      expect(JSON.stringify(certificate)).not.toContain('hunter2')
    }
  })

  test('does not wait for ever for a source that never answers, and counts the others', async () => {
    const asked: CallOptions[] = []
    const silent: DeclaredSource = {
      name: 'silent',
      count: (_, options) => {
        asked.push(options)
        return new Promise(() => {})
      },
    }
    const { vault, clock } = await fenced({
      declaredSources: [silent, { name: 'sessions', count: async () => 3 }],
    })
    const checking = vault.keks.checkRetirement('v1', { ...LOSS, timeoutMs: 8_000 })
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    await clock.advance(4_000)
    const { verdict, reasons } = await checking
    expect(verdict).toBe('NOT_SAFE')
    expect(reasons.map(({ code }) => code)).toEqual(['source_not_counted', 'source_holds_envelopes'])
    expect(reasons[0]?.message).toContain('"silent" did not answer within 4000 ms')
    expect(asked[0]?.signal?.aborted).toBe(true)
  })

  test('asks what was declared since the vault was opened, and no name twice', async () => {
    const { vault } = await fenced()
    vault.sources.add({ name: 'sessions', count: async () => 1 })
    const { reasons } = await vault.keks.checkRetirement('v1', LOSS)
    expect(reasons.map(({ code }) => code)).toEqual(['source_holds_envelopes'])
    expect(() => vault.sources.add({ name: 'sessions', maxAgeMs: 1 })).toThrow('is declared already')
    expect(vault.sources.list().map(({ name }) => name)).toEqual(['sessions'])
  })

  test('is not safe while a live instance has declared a source that the asked one has not', async () => {
    const { store, vault, clock } = await fenced()
    const other = await openVault({
      store,
      namespace: 'gateway',
      keys: BOTH_WISH_V2,
      runtime: { ...clock.runtime, processName: 'batch/7' },
      declaredSources: [{ name: 'orders', count: async () => 0 }],
    })
    const { reasons, evidence } = await vault.keks.checkRetirement('v1', LOSS)
    expect(reasons.map(({ code }) => code)).toEqual(['source_not_declared_here'])
    expect(reasons[0]?.message).toContain('"orders" is declared by batch/7')
    expect(evidence.S4.elsewhere).toEqual([{ name: 'orders', processes: ['batch/7'] }])
    vault.sources.add({ name: 'orders', count: async () => 0 })
    expect((await vault.keks.checkRetirement('v1', LOSS)).verdict).toBe('SAFE')
    await other.close()
  })

  test('names of a rotation what it is and never where it stands', async () => {
    const { vault } = await fenced()
    const { id } = await vault.rotate()
    const { evidence } = await vault.keks.checkRetirement('v1', LOSS)
    expect(evidence.S5.operation).toEqual({ id, status: expect.any(String), targetKekId: 'v2' })
  })

  test('says of declared sources what the owner states by declaring them or none', async () => {
    const none = await fenced()
    expect((await none.vault.keks.checkRetirement('v1', LOSS)).evidence.S4).toEqual({
      sources: [],
      elsewhere: [],
      statement: expect.stringContaining('None declared: the owner states'),
    })
    const some = await fenced({ declaredSources: [{ name: 'sessions', count: async () => 0 }] })
    expect((await some.vault.keks.checkRetirement('v1', LOSS)).evidence.S4).toEqual({
      sources: [{ name: 'sessions', envelopes: 0, maxAgeMs: null, fault: null }],
      elsewhere: [],
      statement: expect.stringContaining('in the declared sources only'),
    })
  })

  test.for([Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER, '7'])(
    'rests on no epoch that is none: %s',
    async (epoch) => {
      const { store, vault } = await fenced()
      const minEpoch = epoch as number
      const before = await documentOf(store)
      await expect(vault.keks.checkRetirement('v1', { ...LOSS, minEpoch })).rejects.toThrow(TypeError)
      await expect(vault.keks.retire('v1', { ...LOSS, minEpoch })).rejects.toThrow(TypeError)
      await expect(vault.confirmStore({ minEpoch })).rejects.toThrow(TypeError)
      await expect(vault.adopt({ minEpoch })).rejects.toThrow(TypeError)
      expect(await documentOf(store)).toBe(before)
    },
  )

  test('an interrupted raise of the revision is told, blocks every retirement, and is finished by confirmStore', async () => {
    let writes = Number.POSITIVE_INFINITY
    const { store, vault } = await fenced({
      through: (inner) =>
        interceptStore(inner, async ({ method, args, proceed }) => {
          if (method === 'writeDocument' && args[0] === 'keyring') writes -= 1
          if (writes < 0) throw unavailable()
          return await proceed()
        }),
    })
    writes = 5
    const interrupted = vault.confirmStore({ minEpoch: 20 })
    await expect(interrupted).rejects.toMatchObject({ code: 'ERR_STORE_OUTCOME_UNKNOWN', retryable: true })
    writes = Number.POSITIVE_INFINITY
    expect((await store.readDocument('keyring'))?.revision).toBe(2 + 5)
    const refused = await vault.keks.checkRetirement('v1', LOSS)
    expect(refused.epoch).toBe(21)
    expect(refused.reasons.map(({ code }) => code)).toContain('never_fenced')
    expect((await vault.status()).notices.join()).toContain('its revision is 7 at epoch 21')
    await vault.confirmStore()
    expect((await store.readDocument('keyring'))?.revision).toBe(22)
    expect((await vault.keks.checkRetirement('v1', LOSS)).verdict).toBe('SAFE')
  })

  test('makes no document above an epoch that an instance cannot have seen', async () => {
    for (const epochSeen of [Number.MAX_SAFE_INTEGER, 1.5, -3]) {
      const { store, vault } = await fenced()
      const report = {
        instanceId: 'odd',
        process: 'odd/1',
        leaseMs: 15_000,
        wishedKekId: 'v2',
        keks: {},
        startedAt: '',
      }
      await store.writeDocument('instance/odd', 0, JSON.stringify({ ...report, epochSeen }))
      const { epoch } = await vault.confirmStore()
      expect(epoch).toBe(3)
      expect((await vault.status()).currentKekId).toBe('v2')
    }
  })
})

const FENCE = { at: '2029-12-31T00:00:00.000Z', epoch: 2, incarnation: 'memory' }

describe('what an operator takes upon himself', () => {
  test('is in the audit, each with its reason, and in the certificate', async () => {
    const { vault } = await fenced({ level: 'advisory' })
    const certificate = await vault.keks.retire('v1', {
      reason: 'end of the year',
      actor: 'alice',
      acceptAdvisory: 'the replica was caught up',
      acceptLossOfBackups: 'backups are kept for a week',
    })
    expect(certificate.verdict).toBe('ADVISORY')
    expect(certificate.evidence.S9.acceptedLossOfBackups).toBe('backups are kept for a week')
    const { items } = await vault.auditEvents()
    const retired = items.filter(({ action }) => action === 'retire')
    expect(retired.map(({ phase }) => phase)).toEqual(['done', 'intent'])
    for (const event of retired) {
      expect(event.reason).toContain('end of the year')
      expect(event.reason).toContain('Advisory verdict accepted: the replica was caught up')
      expect(event.reason).toContain('Loss of backups accepted: backups are kept for a week')
      expect(event.actor).toBe('alice')
    }
    expect(retired[0]?.details).toMatchObject({ verdict: 'ADVISORY', reasons: 'store_advisory' })
  })

  test('is also in the audit where the gate refuses all the same', async () => {
    const { vault } = await fenced({ level: 'advisory' })
    const accepted = { acceptAdvisory: 'it is late', acceptLossOfBackups: 'there are none', minEpoch: 1_000 }
    await expect(vault.keks.retire('v1', accepted)).rejects.toMatchObject({ code: 'ERR_NOT_SAFE_TO_RETIRE' })
    const { items } = await vault.auditEvents()
    expect(items[0]).toMatchObject({
      action: 'retire',
      phase: 'failed',
      reason: expect.stringContaining('it is late'),
      details: { code: 'ERR_NOT_SAFE_TO_RETIRE' },
    })
  })

  test('an accepted advisory verdict is no accepted block, and none is needed where it is SAFE', async () => {
    const { vault } = await fenced()
    await expect(vault.keks.retire('v1', { acceptAdvisory: 'it is late' })).rejects.toMatchObject({
      code: 'ERR_NOT_SAFE_TO_RETIRE',
      reasons: [expect.stringContaining('No escrow of KEK "v1"')],
    })
    expect(await vault.keks.retire('v1', LOSS)).toMatchObject({ verdict: 'SAFE' })
  })

  test.for(['acceptAdvisory', 'acceptLossOfBackups'] as const)('%s takes a reason in words', async (name) => {
    const { store, vault } = await fenced({ level: 'advisory' })
    const before = await documentOf(store)
    for (const reason of ['', ' ', true, null])
      await expect(vault.keks.retire('v1', { ...LOSS, [name]: reason as string })).rejects.toThrow(TypeError)
    await expect(vault.keks.retire('v1', { ...LOSS, [name]: 'x'.repeat(1_025) })).rejects.toThrow(TypeError)
    expect(await documentOf(store)).toBe(before)
    const { items } = await vault.auditEvents()
    expect(items.filter(({ action }) => action === 'retire')).toEqual([])
  })
})

describe('without an audit', () => {
  /** Keeps what it is given until it is broken. */
  class FragileSink implements AuditSink {
    readonly kept: AuditEvent[] = []
    mode: 'works' | 'rejects' | 'throws' = 'works'

    append(event: AuditEvent): Promise<void> {
      if (this.mode === 'throws') throw new Error('no disk')
      if (this.mode === 'rejects') return Promise.reject(new Error('no disk'))
      this.kept.push(event)
      return Promise.resolve()
    }
  }

  type Destructive = (vault: SecretVault) => Promise<unknown>
  const sealed = (): Promise<string> =>
    sealKek({ kekId: 'v1', kek: V1, for: { passphrase: 'correct horse battery staple ochre' } })
  const COMMANDS: readonly (readonly [string, Destructive])[] = [
    ['promote', (vault) => vault.keks.promote('v2')],
    ['reactivate', (vault) => vault.keks.reactivate('v1')],
    ['suspend', (vault) => vault.keks.suspend('v1')],
    ['resume', (vault) => vault.keks.resume('v1')],
    ['retire', (vault) => vault.keks.retire('v1', LOSS)],
    ['markCompromised', (vault) => vault.keks.markCompromised('v1')],
    ['recordEscrow', async (vault) => vault.keks.recordEscrow(await sealed())],
    ['confirmStore', (vault) => vault.confirmStore()],
    ['adopt', (vault) => vault.adopt()],
  ]

  test.for(COMMANDS)('%s changes nothing, and works once the sink does', async ([name, command]) => {
    const sink = new FragileSink()
    const { store, vault } = await fenced({ audit: sink })
    const before = await documentOf(store)
    for (const mode of ['rejects', 'throws'] as const) {
      sink.mode = mode
      const kept = sink.kept.length
      await expect(command(vault)).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE', retryable: true })
      expect(await documentOf(store)).toBe(before)
      expect(sink.kept).toHaveLength(kept)
    }
    sink.mode = 'works'
    // In a domain with v1 decrypt-only these three are refused, for another reason than the audit.
    const refusals: Record<string, string> = {
      promote: 'ERR_TRANSITION_REFUSED',
      resume: 'ERR_TRANSITION_REFUSED',
      adopt: 'ERR_ADOPTION_REFUSED',
    }
    const code = refusals[name]
    if (code === undefined) {
      await command(vault)
      expect(await documentOf(store)).not.toBe(before)
    } else {
      await expect(command(vault)).rejects.toMatchObject({ code })
    }
    expect(sink.kept.at(-1)?.phase).toBe(code === undefined ? 'done' : 'failed')
  })

  test('a check is made all the same, for it changes nothing', async () => {
    const sink = new FragileSink()
    const { vault } = await fenced({ audit: sink })
    sink.mode = 'rejects'
    expect((await vault.keks.checkRetirement('v1', LOSS)).verdict).toBe('SAFE')
  })

  test('what was done is done when the sink breaks after it: the certificate is answered', async () => {
    const sink = new FragileSink()
    const breaking: AuditSink = {
      append(event) {
        if (event.action === 'retire' && event.phase === 'done') sink.mode = 'rejects'
        return sink.append(event)
      },
    }
    const { vault } = await fenced({ audit: breaking })
    expect((await vault.keks.retire('v1', LOSS)).verdict).toBe('SAFE')
    expect(sink.kept.at(-1)).toMatchObject({ action: 'retire', phase: 'intent' })
    expect((await vault.status()).keks.find(({ id }) => id === 'v1')?.state).toBe('retired')
  })
})
