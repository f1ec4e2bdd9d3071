import { MemoryStore, openVault, type RetirementCertificate, type SecretVault } from '@talos/envelope'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { kekBytes, keys } from '../../packages/envelope/test/support/vaults.ts'
import { JsonSchema } from './json-schema.ts'
import { CLAUSES, MATRIX } from './matrix.ts'

const schema = JsonSchema.read('docs/reference/retirement-certificate.schema.json')
const V1 = kekBytes(1)
const V2 = kekBytes(2)
const LOSS = { acceptLossOfBackups: 'there are none' }

/** A domain rotated from v1 to v2, of a level. */
async function rotated(level: 'strong' | 'advisory'): Promise<SecretVault> {
  const store = new MemoryStore({ level })
  const open = (wished: string): Promise<SecretVault> =>
    openVault({ store, namespace: 'gateway', keys: keys(wished, { v1: V1, v2: V2 }) })
  await (await open('v1')).close()
  const vault = await open('v2')
  return vault
}

const open: SecretVault[] = []
const certificates: Record<RetirementCertificate['verdict'], RetirementCertificate | null> = {
  SAFE: null,
  ADVISORY: null,
  NOT_SAFE: null,
}
beforeAll(async () => {
  const strong = await rotated('strong')
  const advisory = await rotated('advisory')
  open.push(strong, advisory)
  certificates.SAFE = await strong.keks.checkRetirement('v1', LOSS)
  certificates.ADVISORY = await advisory.keks.checkRetirement('v1', LOSS)
  certificates.NOT_SAFE = await strong.keks.checkRetirement('v1')
})
afterAll(async () => {
  for (const vault of open) await vault.close()
})

function of(verdict: RetirementCertificate['verdict']): RetirementCertificate {
  const certificate = certificates[verdict]
  if (certificate?.verdict !== verdict) throw new Error(`no certificate says ${verdict}`)
  return JSON.parse(JSON.stringify(certificate)) as RetirementCertificate
}

describe('the schema of the retirement certificate', () => {
  test.for(['SAFE', 'ADVISORY', 'NOT_SAFE'] as const)('takes a certificate that says %s', (verdict) => {
    expect(schema.faults(of(verdict))).toEqual([])
  })

  test('takes one of a vault with sources, a rotation, other instances and a KEK that is current', async () => {
    const store = new MemoryStore({ level: 'strong' })
    const first = await openVault({
      store,
      namespace: 'gateway',
      keys: keys('v1', { v1: V1 }),
      declaredSources: [
        { name: 'sessions', count: async () => 2 },
        { name: 'queue', maxAgeMs: 1_000 },
      ],
    })
    onTestFinished(() => first.close())
    const second = await openVault({
      store,
      namespace: 'gateway',
      keys: keys('v1', { v1: V1 }),
      fleet: 'observer',
    })
    onTestFinished(() => second.close())
    await store.writeDocument('instance/of-a-later-version', 0, '{}')
    await first.put('secret-name', 'x')
    await first.rotate()
    const certificate = await first.keks.checkRetirement('v1')
    expect(certificate.evidence.S5.operation).not.toBeNull()
    expect(certificate.evidence.S6.instances).toHaveLength(3)
    expect(schema.faults(certificate)).toEqual([])
    expect(JSON.stringify(certificate)).not.toContain('secret-name')
  })

  test('knows every code and clause that the gate knows', () => {
    const { reason } = schema.root['$defs'] as Record<
      string,
      { properties: Record<string, { enum: string[] }> }
    >
    expect(reason?.properties['code']?.enum).toEqual(Object.keys(MATRIX))
    expect(reason?.properties['clause']?.enum).toEqual(Object.keys(CLAUSES))
  })

  test('refuses a certificate that lacks any member, at any depth, or has one more', () => {
    let members = 0
    const spoil = (certificate: RetirementCertificate, node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return
      const object = node as Record<string, unknown>
      // Maps of ids have no members that must be there.
      const isMap = path.endsWith('.census') || path.endsWith('.keks')
      for (const name of Object.keys(object)) {
        const value = object[name]
        if (!isMap && !Array.isArray(node)) {
          members += 1
          delete object[name]
          expect(schema.faults(certificate), `${path}.${name}`).not.toEqual([])
          object[name] = Symbol('another type')
          expect(schema.faults(certificate), `${path}.${name}`).not.toEqual([])
        }
        object[name] = value
        spoil(certificate, value, `${path}.${name}`)
      }
      if (isMap || Array.isArray(node)) return
      object['another'] = 'x'
      expect(schema.faults(certificate), path).not.toEqual([])
      delete object['another']
    }
    for (const verdict of ['SAFE', 'ADVISORY', 'NOT_SAFE'] as const) {
      const certificate = of(verdict)
      spoil(certificate, certificate, '$')
      expect(schema.faults(certificate)).toEqual([])
    }
    console.log(
      `certificate schema: ${members} members left out and altered in certificates of three verdicts`,
    )
    expect(members).toBeGreaterThan(100)
  })

  test.for<readonly [string, () => unknown]>([
    ['SAFE with a reason', () => ({ ...of('NOT_SAFE'), verdict: 'SAFE' })],
    ['ADVISORY with a reason that blocks', () => ({ ...of('NOT_SAFE'), verdict: 'ADVISORY' })],
    ['ADVISORY without a reason', () => ({ ...of('ADVISORY'), reasons: [] })],
    ['NOT_SAFE with nothing that blocks', () => ({ ...of('ADVISORY'), verdict: 'NOT_SAFE' })],
    ['another schema', () => ({ ...of('SAFE'), schema: 'talos.retirement-certificate.2' })],
    ['a fingerprint that is none', () => ({ ...of('SAFE'), fingerprint: 'v1' })],
    ['a time that is none', () => ({ ...of('SAFE'), checkedAt: 'yesterday' })],
    ['no object', () => 'SAFE'],
  ])('refuses %s', ([, make]) => {
    expect(schema.faults(make())).not.toEqual([])
  })

  test('is not taken as checked where the validator does not know a keyword', () => {
    expect(() => new JsonSchema({ maxProperties: 1 }).faults({})).toThrow('does not know')
  })
})
