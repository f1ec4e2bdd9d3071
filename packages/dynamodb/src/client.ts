import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'

/** The part of a `DynamoDBClient` that the store uses. The caller makes it, sets it up and destroys it. */
export type DynamodbClient = Pick<DynamoDBClient, 'send'>
