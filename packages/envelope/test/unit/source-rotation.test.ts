import {
  createCodec,
  type EncryptionContext,
  type RotatableSource,
  type RotationFailure,
  type SecretVault,
} from '@talos/envelope'
import { describe, expect, onTestFinished, test } from 'vitest'
import { BOTH_WISH_V2, finished, ONLY_V1, ONLY_V2, testDomain } from '../support/vaults.ts'

const NOTES = 250
const LOSS = { acceptLossOfBackups: 'there are no backups' }
const contextOf = (id: string): EncryptionContext => ({ note: id })
const wrapOf = (envelope: string): string => envelope.slice(0, envelope.lastIndexOf(':'))

/** Envelopes in a map, as an application might keep them anywhere. */
async function notes(): Promise<{ kept: Map<string, string>; source: RotatableSource; asked: string[] }> {
  const codec = await createCodec({ keys: ONLY_V1 })
  const kept = new Map<string, string>()
  for (let id = 0; id < NOTES; id += 1) {
    kept.set(String(id), await codec.wrap(`note ${id}`, contextOf(String(id))))
  }
  const asked: string[] = []
  const source: RotatableSource = {
    name: 'notes',
    async count(kekId) {
      return [...kept.values()].filter((envelope) => envelope.startsWith(`talos:v2:${kekId}:`)).length
    },
    async scan({ cursor, limit, exceptKekId }) {
      asked.push('scan')
      const from = Number(cursor ?? 0)
      const page = [...kept].slice(from, from + Math.min(limit, 100))
      return {
        items: page
          .map(([id, envelope]) => ({ id, wrap: wrapOf(envelope), context: contextOf(id) }))
          .filter(({ wrap }) => !wrap.startsWith(`talos:v2:${exceptKekId}:`)),
        next: from + page.length < kept.size ? String(from + page.length) : null,
      }
    },
    async rewrap(changes) {
      asked.push('rewrap')
      return changes.map(({ id, expectedWrap, wrap }) => {
        const envelope = kept.get(id)
        if (envelope === undefined) return 'missing'
        if (wrapOf(envelope) === wrap) return 'already'
        if (wrapOf(envelope) !== expectedWrap) return 'changed'
        kept.set(id, wrap + envelope.slice(expectedWrap.length))
        return 'done'
      })
    },
  }
  return { kept, source, asked }
}

/** v2 is current; one secret and all notes are under v1. */
async function promoted(source: RotatableSource) {
  const domain = testDomain()
  const first = await domain.open(ONLY_V1)
  await first.put('secret', 'x')
  await first.close()
  const vault = await domain.open(BOTH_WISH_V2)
  onTestFinished(() => vault.close())
  vault.sources.add(source)
  const rotate = async (options: Parameters<SecretVault['rotate']>[0] = {}) => {
    const { id } = await vault.rotate(options)
    return await finished(domain, vault, id)
  }
  return { domain, vault, rotate }
}

describe('a rotation with a declared source', () => {
  test('re-wraps what was declared after the vault was opened, and everything opens without the former KEK', async () => {
    const { kept, source } = await notes()
    const { vault, rotate } = await promoted(source)
    expect(await rotate()).toMatchObject({ status: 'completed', totals: { rewrapped: NOTES + 1, failed: 0 } })
    expect((await vault.keks.checkRetirement('v1', LOSS)).verdict).toBe('SAFE')
    const codec = await createCodec({ keys: ONLY_V2 })
    for (const [id, envelope] of kept) {
      const value = await codec.unwrap(envelope, contextOf(id))
      expect(Buffer.from(value).toString()).toBe(`note ${id}`)
    }
  })

  test('writes nothing when it is only rehearsed, and nothing when there is nothing to do', async () => {
    const { kept, source, asked } = await notes()
    const { rotate } = await promoted(source)
    const before = [...kept]
    const rehearsed = await rotate({ dryRun: true })
    expect(rehearsed).toMatchObject({ status: 'completed', totals: { rewrapped: NOTES + 1 } })
    expect([...kept]).toEqual(before)
    expect(asked).not.toContain('rewrap')
    await rotate()
    asked.length = 0
    expect(await rotate()).toMatchObject({ status: 'completed', totals: { scanned: 0 } })
    expect(asked).not.toContain('rewrap')
  })

  test('waits out an outage of the source, in which an answer was lost too, and counts nothing twice', async () => {
    const { source } = await notes()
    let faults = 4
    const failing: RotatableSource = {
      ...source,
      scan(query, options) {
        faults -= 1
        if (faults >= 2) throw new Error('the test took the source away')
        return source.scan(query, options)
      },
      async rewrap(changes, options) {
        const outcomes = await source.rewrap(changes, options)
        faults -= 1
        if (faults >= 0) throw new Error('the test cut the answer')
        return outcomes
      },
    }
    const { domain, rotate } = await promoted(failing)
    expect(await rotate()).toMatchObject({ status: 'completed', totals: { rewrapped: NOTES + 1, failed: 0 } })
    const told = domain.events.flatMap((event) => (event.type === 'fault' ? [event.code] : []))
    expect(told.filter((code) => code === 'ERR_SOURCE_FAILED').length).toBeGreaterThan(1)
    expect(JSON.stringify(domain.events)).not.toContain('the test')
  })

  test('ends when the source breaks its contract, and says which rule', async () => {
    const { source } = await notes()
    const { vault, rotate } = await promoted({ ...source, rewrap: async () => [] })
    const operation = await rotate()
    expect(operation).toMatchObject({ status: 'failed', lastError: { code: 'ERR_SOURCE_CONTRACT' } })
    expect(operation.lastError?.message).toContain('"notes" answered something its contract rules out')
    const { reasons } = await vault.keks.checkRetirement('v1', LOSS)
    expect(reasons.map(({ code }) => code)).toContain('source_holds_envelopes')
  })

  test('lists an envelope of another context by its id and source, and re-wraps the others', async () => {
    const { kept, source } = await notes()
    kept.set('7', kept.get('8') ?? '')
    const { vault, rotate } = await promoted(source)
    const operation = await rotate()
    expect(operation).toMatchObject({ status: 'failed', totals: { rewrapped: NOTES, failed: 1 } })
    const failures: RotationFailure[] = []
    for await (const failure of vault.rotations.failures(operation.id)) failures.push(failure)
    expect(failures).toMatchObject([
      { source: 'notes', name: '7', reason: 'commitment_mismatch', kekId: 'v1' },
    ])
  })
})
