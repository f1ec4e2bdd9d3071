import { BatchGetItemCommand } from '@aws-sdk/client-dynamodb'
import type { Deadline } from './deadline.ts'
import { type Item, type Key, textOf } from './layout.ts'
import type { Requests } from './requests.ts'

const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 500

/**
 * Reads up to 100 items, consistently. What DynamoDB leaves out, because of an answer's size or for want of capacity, is
 * asked for again until the call's time is up.
 *
 * @param keys - Each of them once.
 * @param attributes - All, unless they are named.
 * @returns The items that are there, by `pk` and `sk`.
 */
export async function batchGet(
  requests: Requests,
  keys: readonly Key[],
  deadline: Deadline,
  attributes?: readonly string[],
): Promise<ReadonlyMap<string, Item>> {
  const found = new Map<string, Item>()
  let left: readonly Item[] = keys
  for (let attempt = 0; left.length > 0; attempt += 1) {
    const table = {
      ConsistentRead: true,
      Keys: [...left],
      ...(attributes === undefined ? {} : { ProjectionExpression: attributes.join(', ') }),
    }
    const { Responses = {}, UnprocessedKeys = {} } = await requests.read(
      () => new BatchGetItemCommand({ RequestItems: { [requests.table]: table } }),
      deadline,
    )
    const items = Object.values(Responses).flat()
    for (const item of items) found.set(`${textOf(item, 'pk')}\n${textOf(item, 'sk')}`, item)
    left = Object.values(UnprocessedKeys).flatMap(({ Keys = [] }) => Keys)
    // An answer that was full is no sign of throttling.
    if (items.length > 0) attempt = 0
    else if (left.length > 0) await deadline.pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt))
  }
  return found
}

/** The item of a key in what `batchGet` has returned. */
export function itemAt(found: ReadonlyMap<string, Item>, { pk, sk }: Key): Item | undefined {
  return found.get(`${pk.S}\n${sk.S}`)
}
