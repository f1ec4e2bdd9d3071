import { Buffer } from 'node:buffer'
import type { Evidence } from './canary.ts'
import { check } from './checks.ts'

const BAR_WIDTH = 32

export interface Progress {
  readonly done: number
  readonly total: number
  readonly note: string
}

/** What the reader of the demo sees. Kept as evidence too: the demo must not print a key or a value either. */
export class Screen {
  readonly #evidence: Evidence
  readonly #terminal = process.stdout.isTTY === true
  readonly #startedAt = performance.now()
  #shownAt = Number.NEGATIVE_INFINITY
  #barShown = false

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  line(text = ''): void {
    if (this.#barShown) this.#write('\n')
    this.#barShown = false
    this.#write(`${text}\n`)
  }

  /** A fact that was checked, or figures. */
  fact(text: string): void {
    this.line(`   ${text}`)
  }

  /** The command that an operator would type. */
  command(text: string): void {
    this.line(`   $ ${text}`)
  }

  /** What a gateway printed. */
  quote(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.line(`   | ${line}`)
  }

  /** Runs one step and prints how long it took. */
  async step<T>(title: string, run: () => Promise<T>): Promise<T> {
    this.line()
    this.line(`== ${title}`)
    const startedAt = performance.now()
    const result = await run()
    const now = performance.now()
    this.fact(`(${seconds(now - startedAt)}, ${seconds(now - this.#startedAt)} in all)`)
    return result
  }

  /** A bar that moves on a terminal; elsewhere a line every five seconds. */
  progress({ done, total, note }: Progress): void {
    const fraction = total === 0 ? 1 : Math.min(1, done / total)
    const filled = Math.round(fraction * BAR_WIDTH)
    const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`
    const text = `   ${bar} ${String(Math.floor(fraction * 100)).padStart(3)} %  ${note}`
    const now = performance.now()
    const pauseMs = this.#terminal ? 50 : 5000
    if (now - this.#shownAt < pauseMs && fraction < 1) return
    this.#shownAt = now
    if (this.#terminal) this.#write(`\r\u001b[2K${text}`)
    else this.line(text)
    this.#barShown = this.#terminal
  }

  #write(text: string): void {
    // Some of it is quoted from gateways: a leak is told, not repeated.
    const leaks = this.#evidence.searchIn(text)
    check(leaks.length === 0, `a gateway leaked ${leaks.join(', ')}`)
    process.stdout.write(text)
    this.#evidence.add('output of the demo', Buffer.from(text))
  }
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}
