import { DeleteItemCommand, GetItemCommand, PutItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb'
import { KEYRING_DOCUMENT, type Page, type StoredDocument, StoreError } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import type { KeyringItems } from './keyring-items.ts'
import { type Item, type Layout, revisionOf, textOf } from './layout.ts'
import type { Requests } from './requests.ts'

/** Reads and writes documents, each an item of its own. */
export class DocumentItems {
  readonly #requests: Requests
  readonly #layout: Layout
  readonly #keyring: KeyringItems

  constructor(requests: Requests, layout: Layout, keyring: KeyringItems) {
    this.#requests = requests
    this.#layout = layout
    this.#keyring = keyring
  }

  async read(key: string, deadline: Deadline): Promise<StoredDocument | null> {
    const { Item } = await this.#requests.read(
      () =>
        new GetItemCommand({
          TableName: this.#requests.table,
          Key: this.#layout.document(key),
          ConsistentRead: true,
        }),
      deadline,
    )
    return Item === undefined ? null : await this.#shown(Item, deadline)
  }

  async list(
    query: { readonly prefix: string; readonly cursor: string | null; readonly limit: number },
    deadline: Deadline,
  ): Promise<Page<StoredDocument>> {
    const { prefix, cursor, limit } = query
    const pk = { S: this.#layout.documents }
    const { Items = [], LastEvaluatedKey } = await this.#requests.read(
      () =>
        new QueryCommand({
          TableName: this.#requests.table,
          ConsistentRead: true,
          // DynamoDB takes no empty text for a key.
          KeyConditionExpression: prefix === '' ? 'pk = :pk' : 'pk = :pk AND begins_with(sk, :prefix)',
          ExpressionAttributeValues: { ':pk': pk, ...(prefix === '' ? {} : { ':prefix': { S: prefix } }) },
          Limit: limit,
          ...(cursor === null ? {} : { ExclusiveStartKey: { pk, sk: { S: cursor } } }),
        }),
      deadline,
    )
    const items = await Promise.all(Items.map((item) => this.#shown(item, deadline)))
    return { items, next: textOf(LastEvaluatedKey, 'sk') ?? null }
  }

  async write(
    key: string,
    expectedRevision: number,
    value: string | null,
    deadline: Deadline,
  ): Promise<number | null> {
    if (value === null) return await this.#delete(key, expectedRevision, deadline)
    const revision = await this.#put(key, expectedRevision, value, deadline)
    if (key !== KEYRING_DOCUMENT || revision === null) return revision
    try {
      await this.#keyring.settle(revision, deadline)
    } catch (cause) {
      throw new StoreError(
        'ERR_STORE_OUTCOME_UNKNOWN',
        `the keyring document is at revision ${revision}, and not every writer is held to it yet; repeat the call or read the document, which ends the change`,
        { retryable: true, cause },
      )
    }
    return revision
  }

  async #put(key: string, expected: number, value: string, deadline: Deadline): Promise<number | null> {
    const revision = expected + 1
    const answer = await this.#requests.write(
      () =>
        new PutItemCommand({
          TableName: this.#requests.table,
          Item: { ...this.#layout.document(key), value: { S: value }, revision: { N: String(revision) } },
          ...atRevision(expected),
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        }),
      deadline,
    )
    if (answer.kind === 'done') return revision
    const there = answer.kind === 'condition' ? answer.item : undefined
    return revisionOf(there) === revision && textOf(there, 'value') === value ? revision : null
  }

  async #delete(key: string, expected: number, deadline: Deadline): Promise<number | null> {
    const answer = await this.#requests.write(
      () =>
        new DeleteItemCommand({
          TableName: this.#requests.table,
          Key: this.#layout.document(key),
          ConditionExpression: 'attribute_not_exists(revision) OR revision = :expected',
          ExpressionAttributeValues: { ':expected': { N: String(expected) } },
        }),
      deadline,
    )
    return answer.kind === 'done' ? 0 : null
  }

  /** A document as it may be shown: a revision of the keyring only once all writers are held to it. */
  async #shown(item: Item, deadline: Deadline): Promise<StoredDocument> {
    const key = textOf(item, 'sk') ?? ''
    const revision = revisionOf(item)
    if (key === KEYRING_DOCUMENT && !this.#keyring.isSettled(item))
      await this.#keyring.settle(revision, deadline)
    return { key, value: textOf(item, 'value') ?? '', revision, ageMs: null }
  }
}

function atRevision(expected: number) {
  if (expected === 0) return { ConditionExpression: 'attribute_not_exists(revision)' }
  return {
    ConditionExpression: 'revision = :expected',
    ExpressionAttributeValues: { ':expected': { N: String(expected) } },
  }
}
