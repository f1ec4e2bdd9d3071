/**
 * Runs asynchronous work on many items, only so many at a time. After a failure nothing more is begun.
 *
 * @param items - Any number of items.
 * @param most - How many run at a time.
 * @param run - The work on one item.
 * @returns The results, in the order of the items.
 * @throws Whatever the first failure was, once all that had begun has ended.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  most: number,
  run: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  const failures: unknown[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next
      next += 1
      try {
        results[index] = await run(items[index] as T, index)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, lane))
  if (failures.length > 0) throw failures[0]
  return results
}
