import type { JSX } from 'preact'
import { clockOf, rate } from '../../words/numbers.ts'
import type { Sample } from './throughput.ts'

const WIDTH = 600
const HEIGHT = 120
const LINES = 4

/** The next number upwards that reads well as the top of a scale. */
function top(highest: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(highest, 1)))
  return [1, 2, 4, 5, 8, 10].map((step) => step * power).find((each) => each >= highest) ?? highest
}

/** Records a second over the time that this page has watched. */
export function ThroughputChart({ samples }: { readonly samples: readonly Sample[] }): JSX.Element {
  const first = samples[0]
  const last = samples.at(-1)
  if (first === undefined || last === undefined || samples.length < 2) {
    return <p class="muted small">The curve begins with the next sign of progress.</p>
  }
  const highest = Math.max(...samples.map(({ perSecond }) => perSecond))
  const scale = top(highest)
  const span = Math.max(1, last.at - first.at)
  const points = samples.map(({ at, perSecond }) => {
    const x = ((at - first.at) / span) * WIDTH
    const y = HEIGHT - (perSecond / scale) * HEIGHT
    return `${x.toFixed(1)} ${y.toFixed(1)}`
  })
  const line = `M${points.join('L')}`
  const said = `Throughput from ${clockOf(first.at)} to ${clockOf(last.at)}: now ${rate(last.perSecond)}, at most ${rate(highest)}`
  return (
    <figure class="chart">
      <figcaption>
        <span>Throughput, secrets a second</span>
        <span class="number">
          now {rate(last.perSecond)} · at most {rate(highest)}
        </span>
      </figcaption>
      <div class="plot">
        <div class="scale" aria-hidden="true">
          <span>{rate(scale).replace('/s', '')}</span>
          <span>{rate(scale / 2).replace('/s', '')}</span>
          <span>0</span>
        </div>
        <svg
          class="curve"
          viewBox={`0 -2 ${WIDTH} ${HEIGHT + 4}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={said}
        >
          {Array.from({ length: LINES + 1 }, (_, index) => {
            const y = (HEIGHT / LINES) * index
            return <path key={y} class="grid" d={`M0 ${y}H${WIDTH}`} />
          })}
          <path class="area" d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />
          <path class="line" d={line} />
        </svg>
        <div class="times" aria-hidden="true">
          <span>{clockOf(first.at)}</span>
          <span>{clockOf(last.at)}</span>
        </div>
      </div>
    </figure>
  )
}
