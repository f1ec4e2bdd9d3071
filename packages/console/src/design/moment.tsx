import type { JSX } from 'preact'
import { dayOf, momentOf } from '../words/numbers.ts'

/** A time as the reader's clock shows it; the exact one on pointing at it. */
export function Moment({ at }: { readonly at: string }): JSX.Element {
  return (
    <time dateTime={at} title={`${dayOf(at)} (${at})`}>
      {momentOf(at)}
    </time>
  )
}
