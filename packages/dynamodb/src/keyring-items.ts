import { GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { KEYRING_DOCUMENT } from '@talos/envelope'
import { batchGet, itemAt } from './batch-get.ts'
import type { Deadline } from './deadline.ts'
import { GUARDS, type Item, type Layout, revisionOf } from './layout.ts'
import type { Requests } from './requests.ts'
import { damaged } from './secret-items.ts'

const GUARD_NUMBERS = Array.from({ length: GUARDS }, (_, number) => number)

/**
 * The keyring document and the guard items that hold its revision. A write checks one of them, so a change of the document
 * is over only when all have moved: until then it is marked nowhere as settled, and whoever reads it moves the rest.
 */
export class KeyringItems {
  readonly #requests: Requests
  readonly #layout: Layout

  constructor(requests: Requests, layout: Layout) {
    this.#requests = requests
    this.#layout = layout
  }

  /** Tells whether every guard item has got as far as a document that was read. */
  isSettled(document: Item): boolean {
    return revisionOf(document, 'settled') === revisionOf(document)
  }

  /** Moves every guard item to a revision that the document has reached. May be done by anybody, at any time, and again. */
  async settle(revision: number, deadline: Deadline): Promise<void> {
    await Promise.all(GUARD_NUMBERS.map((number) => this.#move(number, revision, deadline)))
    await this.#requests.write(
      () =>
        new UpdateItemCommand({
          TableName: this.#requests.table,
          Key: this.#layout.document(KEYRING_DOCUMENT),
          UpdateExpression: 'SET settled = :revision',
          // Where the document has moved on, its own change is not settled yet.
          ConditionExpression: 'revision = :revision',
          ExpressionAttributeValues: { ':revision': { N: String(revision) } },
        }),
      deadline,
    )
  }

  /**
   * Looks at a guard item that was not at the revision of a write.
   *
   * @param there - The revision it was at; 0 for none.
   * @returns Whether the document is at the write's revision, and the guard items are now.
   * @throws StoreError `ERR_STORE_DAMAGED` when the guard items are ahead of the document
   */
  async catchUp(guard: number, there: number, deadline: Deadline): Promise<boolean> {
    const document = await this.#document(deadline)
    if (document === undefined) return false
    const revision = revisionOf(document)
    // The document moves first. One that is behind a guard item seen before was set back.
    if (revision < there) throw damaged('the keyring document')
    if (revision !== guard || there >= guard) return false
    await this.settle(guard, deadline)
    return true
  }

  /** Gives all guard items the revision of the document, whatever they have. Nobody may write meanwhile. */
  async align(deadline: Deadline): Promise<void> {
    const document = await this.#document(deadline)
    if (document === undefined) return
    const revision = revisionOf(document)
    const keys = GUARD_NUMBERS.map((number) => this.#layout.guard(number))
    const found = await batchGet(this.#requests, keys, deadline)
    const ahead = keys.filter((key) => revisionOf(itemAt(found, key)) > revision)
    await Promise.all(
      ahead.map((key) =>
        this.#requests.write(
          () =>
            new UpdateItemCommand({
              TableName: this.#requests.table,
              Key: key,
              UpdateExpression: 'SET revision = :revision',
              ExpressionAttributeValues: { ':revision': { N: String(revision) } },
            }),
          deadline,
        ),
      ),
    )
    await this.settle(revision, deadline)
  }

  async #move(number: number, revision: number, deadline: Deadline): Promise<void> {
    // A condition that does not hold: somebody else has moved it as far, or further.
    await this.#requests.write(
      () =>
        new UpdateItemCommand({
          TableName: this.#requests.table,
          Key: this.#layout.guard(number),
          UpdateExpression: 'SET revision = :revision',
          ConditionExpression: 'attribute_not_exists(revision) OR revision < :revision',
          ExpressionAttributeValues: { ':revision': { N: String(revision) } },
        }),
      deadline,
    )
  }

  async #document(deadline: Deadline): Promise<Item | undefined> {
    const { Item } = await this.#requests.read(
      () =>
        new GetItemCommand({
          TableName: this.#requests.table,
          Key: this.#layout.document(KEYRING_DOCUMENT),
          ConsistentRead: true,
        }),
      deadline,
    )
    return Item
  }
}
