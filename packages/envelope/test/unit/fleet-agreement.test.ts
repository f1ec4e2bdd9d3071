import { describe, expect, test } from 'vitest'
import type { InstanceReport, Sighting } from '../../src/lifecycle/fleet.ts'
import { agreement, disagreeing } from '../../src/lifecycle/fleet-agreement.ts'
import { firstDocument, madeCurrent } from '../../src/lifecycle/keyring-changes.ts'
import type { KeyringDocument } from '../../src/lifecycle/keyring-document.ts'

const FP = { v1: '1111111111111111', v2: '2222222222222222', other: '3333333333333333' }
const AT = '2030-01-01T00:00:00.000Z'

/** v1 decrypt-only, v2 current, epoch 2. */
function documentWith(): KeyringDocument {
  const moment = { at: AT, incarnation: 'i' }
  const first = firstDocument('n', { id: 'v1', fingerprint: FP.v1, suite: '0001' }, moment)
  return madeCurrent(first, { id: 'v2', fingerprint: FP.v2, suite: '0001' }, 'promote', moment)
}

const held = (fingerprint: string, more: { mayWrap?: boolean; tested?: boolean } = {}) => ({
  fingerprint,
  mayWrap: true,
  ...more,
})
const BOTH = { v1: held(FP.v1), v2: held(FP.v2) }

function sighted(
  instanceId: string,
  keks: InstanceReport['keks'],
  more: Partial<InstanceReport> & Partial<Pick<Sighting, 'state' | 'ageMs'>> = {},
): Sighting {
  const { state = 'live', ageMs = 0, ...report } = more
  const rest = { leaseMs: 15_000, epochSeen: 2, formats: ['talos:v2'], startedAt: AT, wishedKekId: 'v2' }
  return { report: { instanceId, process: `web/${instanceId}`, keks, ...rest, ...report }, state, ageMs }
}

const statusOf = (sighting: Sighting, needed: readonly string[] = ['v1', 'v2']) => {
  const [status] = agreement(documentWith(), [sighting], needed)
  if (status === undefined) throw new Error('no status')
  return status
}

describe('the agreement matrix', () => {
  test('tells of an instance that holds everything what it is, and that it agrees', () => {
    expect(statusOf(sighted('a', BOTH, { ageMs: 1_200 }))).toEqual({
      instanceId: 'a',
      process: 'web/a',
      role: 'member',
      state: 'live',
      ageMs: 1_200,
      startedAt: AT,
      epochSeen: 2,
      wishedKekId: 'v2',
      keks: {
        v1: { holding: 'held', fingerprint: FP.v1 },
        v2: { holding: 'held', fingerprint: FP.v2 },
      },
      agrees: true,
    })
  })

  // What an instance holds under v1 and v2, the cells that come of it, and whether it agrees while both are needed.
  const cells: [string, InstanceReport['keks'], Record<string, [string, string | null]>, boolean][] = [
    ['lacks the current KEK', { v1: held(FP.v1) }, { v1: ['held', FP.v1], v2: ['missing', null] }, false],
    ['lacks the former KEK', { v2: held(FP.v2) }, { v1: ['missing', null], v2: ['held', FP.v2] }, false],
    [
      'holds other bytes',
      { ...BOTH, v2: held(FP.other) },
      { v1: ['held', FP.v1], v2: ['other_bytes', FP.other] },
      false,
    ],
    [
      'has not tested the current KEK',
      { ...BOTH, v2: held(FP.v2, { tested: false }) },
      { v1: ['held', FP.v1], v2: ['untested', FP.v2] },
      false,
    ],
    [
      'has not tested the former KEK, which it marks decrypt-only',
      { ...BOTH, v1: held(FP.v1, { tested: false, mayWrap: false }) },
      { v1: ['untested', FP.v1], v2: ['held', FP.v2] },
      false,
    ],
    [
      'has tested both',
      { v1: held(FP.v1, { tested: true }), v2: held(FP.v2, { tested: true }) },
      { v1: ['held', FP.v1], v2: ['held', FP.v2] },
      true,
    ],
    [
      'marks the current KEK decrypt-only',
      { ...BOTH, v2: held(FP.v2, { mayWrap: false }) },
      { v1: ['held', FP.v1], v2: ['decrypt_only', FP.v2] },
      false,
    ],
    [
      'marks the former KEK decrypt-only',
      { ...BOTH, v1: held(FP.v1, { mayWrap: false }) },
      { v1: ['decrypt_only', FP.v1], v2: ['held', FP.v2] },
      true,
    ],
    [
      'holds other bytes that it marks decrypt-only',
      { ...BOTH, v1: held(FP.other, { mayWrap: false, tested: false }) },
      { v1: ['other_bytes', FP.other], v2: ['held', FP.v2] },
      false,
    ],
  ]
  test.each(cells)('an instance that %s', (_, keks, expected, agrees) => {
    const status = statusOf(sighted('a', keks))
    const told = Object.entries(status.keks).map(([id, cell]) => [id, [cell.holding, cell.fingerprint]])
    expect(Object.fromEntries(told)).toEqual(expected)
    expect(status.agrees).toBe(agrees)
  })

  test('a KEK that no record needs may be missing', () => {
    const status = statusOf(sighted('a', { v2: held(FP.v2) }), ['v2'])
    expect(status.keks['v1']).toEqual({ holding: 'missing', fingerprint: null })
    expect(status.agrees).toBe(true)
  })

  test('a KEK that records name and nobody knows is needed all the same', () => {
    const status = statusOf(sighted('a', BOTH), ['v1', 'v2', 'v7'])
    expect(status.keks['v7']).toEqual({ holding: 'missing', fingerprint: null })
    expect(status.agrees).toBe(false)
  })

  test.each([
    [1, false],
    [2, true],
    [3, true],
  ])('at epoch 2, an instance that has seen epoch %i agrees: %s', (epochSeen, agrees) => {
    expect(statusOf(sighted('a', BOTH, { epochSeen })).agrees).toBe(agrees)
  })

  test('without a keyring document nobody agrees', () => {
    expect(agreement(null, [sighted('a', BOTH)], ['v2'])).toMatchObject([
      { agrees: false, keks: { v2: { holding: 'held' } } },
    ])
  })

  test('everybody is told of a KEK that one instance holds', () => {
    const [a, b] = agreement(
      documentWith(),
      [sighted('b', { ...BOTH, v3: held(FP.other) }), sighted('a', BOTH)],
      ['v2'],
    )
    expect([a?.instanceId, b?.instanceId]).toEqual(['a', 'b'])
    expect(a?.keks['v3']).toEqual({ holding: 'missing', fingerprint: null })
    expect(b?.keks['v3']).toEqual({ holding: 'held', fingerprint: FP.other })
  })

  describe('while no fingerprint is bound', () => {
    const holdings = (...sightings: Sighting[]) =>
      agreement(documentWith(), sightings, ['v2']).map(({ keks }) => keks['v3']?.holding)
    const with3 = (id: string, fingerprint: string, more = {}) =>
      sighted(id, { ...BOTH, v3: held(fingerprint) }, more)

    test('members that differ all hold other bytes: nothing tells who is right', () => {
      expect(holdings(with3('a', FP.other), with3('b', FP.other), with3('c', FP.v1))).toEqual([
        'other_bytes',
        'other_bytes',
        'other_bytes',
      ])
    })

    test('an observer or a silent instance that differs throws no doubt on live members', () => {
      expect(holdings(with3('a', FP.other), with3('b', FP.v1, { role: 'observer' }))).toEqual([
        'held',
        'other_bytes',
      ])
      expect(holdings(with3('a', FP.other), with3('b', FP.v1, { state: 'silent' }))).toEqual([
        'held',
        'other_bytes',
      ])
    })

    test('what only observers or only silent instances hold is held', () => {
      expect(holdings(with3('a', FP.other, { role: 'observer' }))).toEqual(['held'])
      expect(holdings(with3('a', FP.other, { state: 'silent' }))).toEqual(['held'])
    })
  })

  test('an instance whose report cannot be read holds nothing, tells nothing and does not agree', () => {
    const nothing = { role: 'unknown', epochSeen: 0, startedAt: '', wishedKekId: '' } as const
    expect(statusOf(sighted('a', {}, nothing))).toMatchObject({
      role: 'unknown',
      startedAt: null,
      wishedKekId: null,
      agrees: false,
      keks: { v1: { holding: 'missing' }, v2: { holding: 'missing' } },
    })
    expect(statusOf(sighted('a', {}, nothing), []).agrees).toBe(false)
  })

  test('KEK ids that every object has a property of are like any other', () => {
    const status = statusOf(sighted('a', { ...BOTH, constructor: held(FP.other) }), ['v2', 'valueOf'])
    expect(status.keks['constructor']).toEqual({ holding: 'held', fingerprint: FP.other })
    expect(status.keks['valueOf']).toEqual({ holding: 'missing', fingerprint: null })
  })
})

test('S6: in the way are live members and unknown instances that do not agree, and nobody else', () => {
  const fleet = agreement(
    documentWith(),
    [
      sighted('a agrees', BOTH),
      sighted('b lacks v2', {}),
      sighted('c silent', {}, { state: 'silent' }),
      sighted('d observer', {}, { role: 'observer' }),
      sighted('e unknown', {}, { role: 'unknown' }),
      sighted('f unknown and silent', {}, { role: 'unknown', state: 'silent' }),
      sighted('g of an older version', {}),
    ],
    ['v2'],
  )
  expect(disagreeing(fleet).map(({ instanceId }) => instanceId)).toEqual([
    'b lacks v2',
    'e unknown',
    'g of an older version',
  ])
})
