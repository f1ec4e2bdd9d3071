import { type Change, createCodec, explicitKeys, type Page, type SecretHeader } from '@talos/envelope'
import { recordContext, recordMeta } from '../stores/rotations.ts'
import type { Domain } from './domain.ts'

/** As the engine divides its work. */
const SHARDS = 16
const FIRST_PAGE = 250
const MOST = 1_000
/** Stands in for sealed bytes, which a codec passes on unseen. */
const SEALED = Buffer.alloc(28).toString('base64url')

/** The batches of one shard, by the pages they were read in. */
interface ShardPlan {
  readonly shard: string
  readonly batches: readonly (readonly Change[])[]
}

/** The pages and batches of a rotation by store calls alone, their wraps made before. */
export class StoreCalls {
  readonly #domain: Domain
  #plans: readonly ShardPlan[] = []
  #guard = 0

  constructor(domain: Domain) {
    this.#domain = domain
  }

  /** Promotes the next KEK, and makes every wrap under it. */
  async prepare(): Promise<void> {
    await this.#domain.prepareHere()
    const store = this.#domain.store()
    this.#guard = (await store.readDocument('keyring'))?.revision ?? 0
    const { keks, currentKekId } = this.#domain.rotations
    const codec = await createCodec({ keys: explicitKeys({ keks, currentKekId }) })
    const meta = recordMeta('2026-01-02T00:00:00.000Z')
    const plans: ShardPlan[] = []
    const shards = (await store.shards?.(SHARDS)) ?? []
    for (const shard of shards) {
      const batches: Change[][] = []
      for await (const { items } of this.#pages(shard)) {
        const envelopes = items.map(({ name, wrap }) => ({
          envelope: `${wrap}:${SEALED}`,
          context: recordContext(name),
        }))
        const results = await codec.rewrapMany(envelopes)
        batches.push(
          items.map(({ name, wrap }, index): Change => {
            const result = results[index]
            if (result === undefined || 'error' in result) throw new Error('A record is damaged.')
            const next = result.envelope.slice(0, result.envelope.lastIndexOf(':'))
            return { kind: 'rewrap', expectedWrap: wrap, secret: { name, wrap: next, meta } }
          }),
        )
      }
      plans.push({ shard, batches })
    }
    this.#plans = plans
  }

  /** Reads the same pages, each while the one before is written, and writes the batches. */
  async run(): Promise<void> {
    const store = this.#domain.store()
    const plans = this.#plans
    // Whoever runs next is not to pay for collecting around them.
    this.#plans = []
    for (const { shard, batches } of plans) {
      const pages = this.#pages(shard)
      let reading = pages.next()
      for (const batch of batches) {
        await reading
        reading = pages.next()
        const outcomes = await store.write(this.#guard, batch)
        if (outcomes.some((outcome) => outcome !== 'done')) throw new Error('A re-wrap was not done.')
      }
      await reading
    }
  }

  /** Pages of the sizes that the engine asks for. */
  async *#pages(shard: string): AsyncGenerator<Page<SecretHeader>> {
    const { currentKekId: exceptKekId } = this.#domain.rotations
    let cursor: string | null = null
    let limit = FIRST_PAGE
    do {
      const page: Page<SecretHeader> = await this.#domain.store().scan({ shard, cursor, limit, exceptKekId })
      if (page.items.length > 0) yield page
      cursor = page.next
      limit = Math.min(MOST, limit * 2)
    } while (cursor !== null)
  }
}
