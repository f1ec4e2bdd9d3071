import {
  type AuditSink,
  type ErrorCode,
  explicitKeys,
  generateEscrowKeyPair,
  inspectSealedKek,
  type KekCommandOptions,
  MemoryStore,
  openVault,
  type SecretVault,
  type StoredSecret,
  sealKek,
} from '@talos/envelope'
import { heldClock } from '@talos/envelope/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { testDomain, V1, V2, V3 } from '../support/vaults.ts'

/**
 * Every state of a KEK "k", every verb on it and every condition it may be asked under. `c` is the current KEK, or the former
 * one where "k" is current. What is expected is written down here by hand and comes from nowhere else.
 */
type State = 'provisioned' | 'current' | 'decrypt-only' | 'suspended' | 'retired' | 'unknown'
type Verb = 'promote' | 'reactivate' | 'suspend' | 'resume' | 'retire' | 'markCompromised' | 'recordEscrow'

const CONDITIONS = [
  'held with the right bytes by all',
  'not held here',
  'held here with other bytes',
  'marked decrypt-only at its source here',
  'marked compromised',
  'with a record under it',
  'not held by another instance',
  'at another epoch than expected',
  'without an audit',
] as const
type Condition = (typeof CONDITIONS)[number]

/** The columns are the conditions, in their order. `-`: a contradiction in terms. */
const EXPECTED: Readonly<Record<Verb, Readonly<Record<State, string>>>> = {
  promote: {
    provisioned:
      '   ok         notHere    twoBytes   unwraps    -          ok         lacking    epoch audit',
    current:
      '       current    current    current    current    current    current    current    epoch audit',
    'decrypt-only':
      'opens      opens      opens      opens      opens      opens      opens      epoch audit',
    suspended:
      '     suspended  suspended  suspended  suspended  suspended  suspended  suspended  epoch audit',
    retired:
      '       retired    retired    retired    retired    retired    retired    retired    epoch audit',
    unknown:
      '       notHere    -          -          -          -          notHere    -          epoch audit',
  },
  reactivate: {
    provisioned:
      '   never      never      never      never      -          never      never      epoch audit',
    current:
      '       current    current    current    current    current    current    current    epoch audit',
    'decrypt-only':
      'ok         notHere    notBound   unwraps    compromised ok        lacking    epoch audit',
    suspended:
      '     suspended  suspended  suspended  suspended  suspended  suspended  suspended  epoch audit',
    retired:
      '       retired    retired    retired    retired    retired    retired    retired    epoch audit',
    unknown:
      '       never      -          -          -          -          never      -          epoch audit',
  },
  suspend: {
    provisioned:
      '   never      never      never      never      -          never      never      epoch audit',
    current:
      '       current    current    current    current    current    current    current    epoch audit',
    'decrypt-only':
      'ok         ok         ok         ok         ok         used       ok         epoch audit',
    suspended:
      '     suspended  suspended  suspended  suspended  suspended  suspended  suspended  epoch audit',
    retired:
      '       retired    retired    retired    retired    retired    retired    retired    epoch audit',
    unknown:
      '       never      -          -          -          -          never      -          epoch audit',
  },
  resume: {
    provisioned:
      '   never      never      never      never      -          never      never      epoch audit',
    current:
      '       current    current    current    current    current    current    current    epoch audit',
    'decrypt-only':
      'opens      opens      opens      opens      opens      opens      opens      epoch audit',
    suspended:
      '     ok         ok         ok         ok         ok         ok         ok         epoch audit',
    retired:
      '       retired    retired    retired    retired    retired    retired    retired    epoch audit',
    unknown:
      '       never      -          -          -          -          never      -          epoch audit',
  },
  retire: {
    provisioned:
      '   never      never      never      never      -          never      never      epoch audit',
    current:
      '       current    current    current    current    current    current    current    epoch audit',
    'decrypt-only':
      'ok         ok         ok         ok         ok         remains    ok         epoch audit',
    suspended:
      '     ok         ok         ok         ok         ok         remains    ok         epoch audit',
    retired:
      '       retired    retired    retired    retired    retired    retired    retired    epoch audit',
    unknown:
      '       never      -          -          -          -          never      -          epoch audit',
  },
  markCompromised: {
    provisioned:
      '   never      never      never      never      -          never      never      epoch audit',
    current:
      '       ok         ok         ok         ok         ok         ok         ok         epoch audit',
    'decrypt-only':
      'ok         ok         ok         ok         ok         ok         ok         epoch audit',
    suspended:
      '     ok         ok         ok         ok         ok         ok         ok         epoch audit',
    retired:
      '       ok         ok         ok         ok         ok         ok         ok         epoch audit',
    unknown:
      '       never      -          -          -          -          never      -          epoch audit',
  },
  recordEscrow: {
    provisioned:
      '   never      never      never      never      -          never      never      epoch audit',
    current:
      '       ok         ok         notSealed  ok         ok         ok         ok         epoch audit',
    'decrypt-only':
      'ok         ok         notSealed  ok         ok         ok         ok         epoch audit',
    suspended:
      '     ok         ok         notSealed  ok         ok         ok         ok         epoch audit',
    retired:
      '       ok         ok         notSealed  ok         ok         ok         ok         epoch audit',
    unknown:
      '       never      -          -          -          -          never      -          epoch audit',
  },
}

/** How each refusal in the table reads: its code, and what it says. */
const REFUSALS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  notHere: ['ERR_PROMOTION_BLOCKED', 'It is not loaded here.'],
  notBound: ['ERR_PROMOTION_BLOCKED', 'It is loaded here with other bytes than the bound ones.'],
  twoBytes: ['ERR_PROMOTION_BLOCKED', 'other/1 holds other bytes under KEK id "k"'],
  unwraps: ['ERR_PROMOTION_BLOCKED', 'It may only unwrap here.'],
  lacking: ['ERR_PROMOTION_BLOCKED', 'other/1 does not hold KEK "k"'],
  current: ['ERR_TRANSITION_REFUSED', 'it is current: new values are wrapped under it. Promote another KEK'],
  opens: ['ERR_TRANSITION_REFUSED', 'it is decrypt-only. Use reactivate to make it current once more'],
  suspended: ['ERR_TRANSITION_REFUSED', 'it is suspended. Resume it first'],
  retired: ['ERR_TRANSITION_REFUSED', 'it is retired: the id is never used again'],
  used: ['ERR_TRANSITION_REFUSED', '1 secret is under it and could not be read any more. Rotate first'],
  notSealed: ['ERR_TRANSITION_REFUSED', 'the sealed file holds bytes of fingerprint'],
  never: ['ERR_KEK_UNKNOWN', 'it was never current'],
  compromised: ['ERR_KEK_COMPROMISED', 'KEK "k" is marked compromised and never becomes current again'],
  remains: ['ERR_NOT_SAFE_TO_RETIRE', '1 secret is still under KEK "k"'],
  epoch: ['ERR_EPOCH_CHANGED', 'at epoch 7 and not at 6'],
  audit: ['ERR_AUDIT_UNAVAILABLE', 'was not begun and nothing was changed'],
}

interface Row {
  readonly verb: Verb
  readonly state: State
  readonly condition: Condition
  readonly expected: string
}

const CELLS: readonly Row[] = Object.entries(EXPECTED).flatMap(([verb, states]) =>
  Object.entries(states).flatMap(([state, line]) => {
    const words = line.trim().split(/ +/)
    if (words.length !== CONDITIONS.length) throw new Error(`${verb} ${state} has ${words.length} columns`)
    return words.map(
      (expected, column): Row => ({
        verb: verb as Verb,
        state: state as State,
        condition: CONDITIONS[column] as Condition,
        expected,
      }),
    )
  }),
)
const ROWS = CELLS.filter(({ expected }) => expected !== '-')

const EPOCH = 7
const BEFORE = '2029-12-31T00:00:00.000Z'
const NO_SINK: AuditSink = { append: () => Promise.reject(new Error('the disk is full')) }

const sealed: Record<'k' | 'c' | 'other', string> = { k: '', c: '', other: '' }
let underK: StoredSecret
beforeAll(async () => {
  const to = { publicKey: generateEscrowKeyPair().publicKey }
  sealed.k = await sealKek({ kekId: 'k', kek: V1, for: to })
  sealed.c = await sealKek({ kekId: 'c', kek: V2, for: to })
  sealed.other = await sealKek({ kekId: 'k', kek: V3, for: to })
  const elsewhere = testDomain()
  const vault = await elsewhere.open(explicitKeys({ currentKekId: 'k', keks: { k: V1 } }))
  await vault.put('a', 'x')
  await vault.close()
  underK = (await elsewhere.store.read(['a']))[0] as StoredSecret
})

/** A keyring document with "k" in a state, written as whoever specifies the document would. */
function documentWith(state: State, isCompromised: boolean, incarnation: string): Record<string, unknown> {
  const entry = (which: 'k' | 'c', its: State): Record<string, unknown> => ({
    fingerprint: inspectSealedKek(sealed[which]).fingerprint,
    suite: '0001',
    state: its,
    promotedAt: BEFORE,
    fence: its === 'current' ? null : { at: BEFORE, epoch: 5, incarnation },
    suspendedAt: its === 'suspended' ? BEFORE : null,
    retiredAt: its === 'retired' ? BEFORE : null,
    compromisedAt: isCompromised && which === 'k' ? BEFORE : null,
    // An escrow, so that retirements do not end at that.
    escrowedAt: BEFORE,
  })
  const isBound = state !== 'provisioned' && state !== 'unknown'
  const keks = {
    ...(isBound ? { k: entry('k', state) } : {}),
    c: entry('c', state === 'current' ? 'decrypt-only' : 'current'),
  }
  return { format: 1, namespace: 'gateway', epoch: EPOCH, incarnation, keks }
}

/** Two instances in front of a document and a clock that stands still; the first one is asked. */
async function stage({ state, condition }: Row): Promise<{
  readonly store: MemoryStore
  readonly vault: SecretVault
  close(): Promise<void>
}> {
  const clock = heldClock()
  const store = new MemoryStore({ monotonicMs: clock.runtime.monotonicMs, level: 'strong' })
  const { incarnation } = await store.identify()
  const document = documentWith(state, condition === 'marked compromised', incarnation)
  // As often as it was changed: a revision below the epoch is the mark of a document that was put back by hand.
  for (let revision = 0; revision < EPOCH; revision += 1)
    await store.writeDocument('keyring', revision, JSON.stringify(document))
  if (condition === 'with a record under it') await store.write(EPOCH, [{ kind: 'create', secret: underK }])
  const open = (process: string, k: Uint8Array | null, more: { decryptOnly?: boolean; audit?: AuditSink }) =>
    openVault({
      store,
      namespace: 'gateway',
      keys: explicitKeys({
        currentKekId: 'c',
        keks: { c: V2, ...(k === null ? {} : { k }) },
        decryptOnlyKekIds: more.decryptOnly === true ? ['k'] : [],
      }),
      runtime: { ...clock.runtime, processName: process },
      ...(more.audit === undefined ? {} : { audit: more.audit }),
    })
  const isUnknown = state === 'unknown'
  const mine = isUnknown || condition === 'not held here' ? null : V1
  const theirs = isUnknown || condition === 'not held by another instance' ? null : V1
  const other = await open('other/1', theirs, {})
  const vault = await open('this/1', condition === 'held here with other bytes' ? V3 : mine, {
    decryptOnly: condition === 'marked decrypt-only at its source here',
    ...(condition === 'without an audit' ? { audit: NO_SINK } : {}),
  })
  return {
    store,
    vault,
    async close() {
      await vault.close()
      await other.close()
    },
  }
}

function command(vault: SecretVault, { verb, condition }: Row): Promise<unknown> {
  const options: KekCommandOptions = {
    reason: 'the table',
    ...(condition === 'at another epoch than expected' ? { expectedEpoch: EPOCH - 1 } : {}),
  }
  if (verb !== 'recordEscrow') return vault.keks[verb]('k', options)
  return vault.keks.recordEscrow(
    condition === 'held here with other bytes' ? sealed.other : sealed.k,
    options,
  )
}

/** What a verb that is carried out leaves behind; by hand, too. */
const LEAVES: Readonly<Record<Verb, (state: State) => Record<string, unknown>>> = {
  promote: () => ({ k: { state: 'current', fence: null }, c: { state: 'decrypt-only' } }),
  reactivate: () => ({ k: { state: 'current', fence: null }, c: { state: 'decrypt-only' } }),
  suspend: () => ({ k: { state: 'suspended', fence: { epoch: 5 } }, c: { state: 'current' } }),
  resume: () => ({ k: { state: 'decrypt-only', suspendedAt: null }, c: { state: 'current' } }),
  retire: () => ({ k: { state: 'retired', retiredAt: expect.any(String) }, c: { state: 'current' } }),
  markCompromised: (state) => ({ k: { state, compromisedAt: expect.any(String) } }),
  recordEscrow: (state) => ({ k: { state, escrowedAt: '2030-01-01T00:00:00.000Z' } }),
}

describe('every transition in every state under every condition', () => {
  test('is in the table, or is a contradiction in terms', () => {
    const legal = ROWS.filter(({ expected }) => expected === 'ok').length
    console.log(`transitions: ${ROWS.length} rows, ${legal} carried out and ${ROWS.length - legal} refused`)
    expect(CELLS).toHaveLength(7 * 6 * CONDITIONS.length)
    expect(ROWS).toHaveLength(336)
    for (const { state, condition, expected } of CELLS) {
      const isBound = state !== 'provisioned' && state !== 'unknown'
      if (expected === '-') expect(isBound, `${state} ${condition}`).toBe(false)
    }
  })

  test.for(ROWS)('$verb, $state, $condition: $expected', async (row) => {
    const { store, vault, close } = await stage(row)
    try {
      const before = await store.readDocument('keyring')
      if (row.expected === 'ok') {
        await command(vault, row)
        const after = JSON.parse((await store.readDocument('keyring'))?.value ?? '')
        expect(after).toMatchObject({ epoch: EPOCH + 1, keks: LEAVES[row.verb](row.state) })
        if (row.condition === 'marked compromised') expect(after.keks.k.compromisedAt).toBe(BEFORE)
      } else {
        const [code, says] = REFUSALS[row.expected] as readonly [ErrorCode, string]
        const refusal = await command(vault, row).catch((error: unknown) => error)
        expect(refusal).toMatchObject({ code, message: expect.stringContaining(says) })
        const after = await store.readDocument('keyring')
        expect(after).toEqual({ ...before, ageMs: after?.ageMs })
      }
      if (row.condition === 'without an audit') return
      const { items } = await vault.auditEvents()
      const [code] = REFUSALS[row.expected] ?? []
      expect(items.map(({ phase }) => phase)).toEqual([code === undefined ? 'done' : 'failed', 'intent'])
      expect(items[0]?.details['code']).toBe(code)
      expect(items.map(({ kekId, reason }) => `${kekId} ${reason}`)).toEqual(['k the table', 'k the table'])
    } finally {
      await close()
    }
  })
})
