/** The options of calls that take no others: which trace they continue. */
import { checkOptions, optionNames } from '../check-options.ts'

/** Options of `watch`, `get`, `list`, `peers`, `explain` and `whoAmI`. */
export interface TraceOptions {
  /** The trace to continue, as in `DelegateOptions`. */
  readonly traceparent?: string
}

const TRACE_OPTIONS = optionNames<TraceOptions>({ traceparent: true })

/** @throws TypeError for an option that there is not */
export function checkTraceOptions(options: TraceOptions, call: string): void {
  checkOptions(options, TRACE_OPTIONS, call)
}
