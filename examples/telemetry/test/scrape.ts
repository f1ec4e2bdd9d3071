import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** One line of a scrape. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Reads the text format of Prometheus, as far as the exporter writes it. */
export function samplesOf(text: string): readonly Sample[] {
  return text.split('\n').flatMap((line) => {
    const [, name, labels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) return []
    const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, key = '', held = '']) => [key, held])
    return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }]
  })
}

/** The sum of the samples of a metric with these labels; `undefined` where there are none. */
export function valueIn(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = samples.filter(
    (sample) =>
      sample.name === `talos_envelope_${name}` &&
      Object.entries(labels).every(([key, value]) => sample.labels[`talos_envelope_${key}`] === value),
  )
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0)
}

/** The program of this example in a process of its own. */
export interface Service {
  scrape(): Promise<readonly Sample[]>
  /** Asks it to end, as a deploy does, and answers its exit code. */
  stop(): Promise<number | null>
}

/** Runs the program while `use` works with it, and leaves none behind. */
export async function withService(
  environment: Readonly<Record<string, string>>,
  use: (service: Service) => Promise<void>,
): Promise<void> {
  const main = fileURLToPath(new URL('../main.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=@talos/source', main], {
    env: { PATH: process.env['PATH'], METRICS_PORT: '0', STATUS_EVERY_MS: '1000', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit') as Promise<[number | null]>
  try {
    const printed = once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>
    const [line] = await Promise.race([printed, ended])
    if (typeof line !== 'string') throw new Error(`the program ended with ${line}`)
    const url = line.replace('scrape ', '')
    await use({
      scrape: async () => samplesOf(await (await fetch(url)).text()),
      async stop() {
        child.kill('SIGTERM')
        const [code] = await ended
        return code
      },
    })
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}
