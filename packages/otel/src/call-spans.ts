import type { Attributes, SpanContext, Tracer } from '@opentelemetry/api'
import { context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { errorTypeOf } from './error-type.ts'
import { ATTRIBUTE } from './names.ts'

/** How spans of calls are made. */
export interface CallSpans {
  /** The tracer of the provider that is registered now. */
  readonly tracer: () => Tracer
  /** Of every span. */
  readonly shared: Attributes
}

/** What a span says of one call. */
export interface SpanOfCall<T> {
  readonly name: string
  readonly attributes: Attributes
  /** Of the answer. */
  readonly attributesOf: (answer: T) => Attributes
  /**
   * Whether the call begins work that goes on after it. That work must not see the span as its parent: the spans of a database's
   * client would all be added to a trace that has ended.
   */
  readonly beginsWork?: boolean
}

/** Makes a call within a span, whose parent is the active one. An error sets its status, by its code and nothing else. */
export async function withinSpan<T>(
  { tracer, shared }: CallSpans,
  { name, attributes, attributesOf, beginsWork = false }: SpanOfCall<T>,
  call: () => Promise<T>,
  onAnswer: (answer: T, span: SpanContext) => void = () => {},
): Promise<T> {
  const span = tracer().startSpan(name, { attributes: { ...shared, ...attributes } })
  const during = beginsWork ? ROOT_CONTEXT : trace.setSpan(context.active(), span)
  try {
    const answer = await context.with(during, call)
    span.setAttributes(attributesOf(answer))
    onAnswer(answer, span.spanContext())
    return answer
  } catch (error) {
    const errorType = errorTypeOf(error)
    span.setAttribute(ATTRIBUTE.errorType, errorType)
    span.setStatus({ code: SpanStatusCode.ERROR, message: errorType })
    throw error
  } finally {
    span.end()
  }
}
