/** The refusals of DynamoDB that mean "nothing was done, come again", in the form in which it sends them. */
export type DynamodbFault =
  | 'TransactionConflict'
  | 'ThrottlingException'
  | 'ProvisionedThroughputExceededException'
  | 'RequestLimitExceeded'

/** A request as the proxy sees it: the operation, such as `TransactWriteItems`, and its JSON. */
export interface DynamodbRequest {
  readonly operation: string
  readonly body: Readonly<Record<string, unknown>>
}

const MODEL = 'com.amazonaws.dynamodb.v20120810#'
const CONFLICT = 'Transaction is ongoing for the item'
const THROTTLED: Readonly<Record<Exclude<DynamodbFault, 'TransactionConflict'>, readonly [string, string]>> =
  {
    ThrottlingException: [
      'com.amazon.coral.availability#ThrottlingException',
      'Rate of requests exceeds the allowed throughput.',
    ],
    ProvisionedThroughputExceededException: [
      `${MODEL}ProvisionedThroughputExceededException`,
      'The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.',
    ],
    RequestLimitExceeded: [
      `${MODEL}RequestLimitExceeded`,
      'Throughput exceeds the current throughput limit for your account.',
    ],
  }

/**
 * Makes the answer to a request that is refused.
 *
 * @param chosen - From 0 up to 1: which action of a transaction is said to be in conflict.
 * @returns `null` for a request that cannot be refused so, as a read cannot conflict.
 */
export function faultAnswer(
  fault: DynamodbFault,
  { operation, body }: DynamodbRequest,
  chosen: number,
): Readonly<Record<string, unknown>> | null {
  if (fault !== 'TransactionConflict') {
    const [type, message] = THROTTLED[fault]
    return { __type: type, message }
  }
  if (operation.startsWith('Transact')) {
    const actions = (body['TransactItems'] as readonly unknown[]).length
    const inConflict = Math.floor(chosen * actions)
    const reasons = Array.from({ length: actions }, (_, action) =>
      action === inConflict ? { Code: 'TransactionConflict', Message: CONFLICT } : { Code: 'None' },
    )
    const codes = reasons.map(({ Code }) => Code).join(', ')
    return {
      __type: `${MODEL}TransactionCanceledException`,
      CancellationReasons: reasons,
      Message: `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`,
    }
  }
  if (!/^(Put|Update|Delete)Item$/.test(operation)) return null
  return { __type: `${MODEL}TransactionConflictException`, message: CONFLICT }
}
