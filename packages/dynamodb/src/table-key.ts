import type { TableDescription } from '@aws-sdk/client-dynamodb'
import { otherKey } from './failures.ts'

/** @throws StoreError `ERR_STORE_CONFIGURATION` for a table whose key is not `pk` and `sk`, both of type S */
export function checkKey(table: string, description: TableDescription): void {
  const { KeySchema = [], AttributeDefinitions = [] } = description
  const types = new Map(
    AttributeDefinitions.map(({ AttributeName, AttributeType }) => [AttributeName, AttributeType]),
  )
  const key = KeySchema.map(
    ({ AttributeName, KeyType }) => `${KeyType} ${AttributeName} ${types.get(AttributeName)}`,
  )
  if (key.toSorted().join() !== 'HASH pk S,RANGE sk S') throw otherKey(table)
}
