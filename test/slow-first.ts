import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, in this order: begun last, one of them would keep one processor busy while the others wait. */
const SLOW = [
  'test/rotation/kills',
  'packages/dynamodb/test/conformance/disturbed',
  'packages/redis/test/conformance/redis-cluster',
  'packages/dynamodb/test/integration/memory',
  'packages/postgres/test/conformance',
  'packages/dynamodb/test',
  'test/e2e/deploys',
  'test/rotation/fleet',
  'examples/gateway/test',
  'packages/redis/test/conformance',
  'test/docs/refusals',
]

/** Begins with the slow files; the rest comes in vitest's own order. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = SLOW.findIndex((part) => moduleId.includes(part))
      return found === -1 ? SLOW.length : found
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}
