/** The options of calls that take few others: which trace they continue. */
import { checkOptions, optionNames } from '../check-options.ts'

/** Options of `watch`, `get`, `list`, `peers`, `explain` and `whoAmI`. */
export interface TraceOptions {
  /** The trace to continue, as in `DelegateOptions`. */
  readonly traceparent?: string
}

/** Options of `describe`. */
export interface DescribeOptions extends TraceOptions {
  /** A peer that the gateway cannot reach is tried again for some seconds. Default true. */
  readonly retryAway?: boolean
}

const TRACE_OPTIONS = optionNames<TraceOptions>({ traceparent: true })

const DESCRIBE_OPTIONS = optionNames<DescribeOptions>({ traceparent: true, retryAway: true })

/** @throws TypeError for an option that there is not */
export function checkDescribeOptions(options: DescribeOptions): void {
  checkOptions(options, DESCRIBE_OPTIONS, 'describe')
}

/** @throws TypeError for an option that there is not */
export function checkTraceOptions(options: TraceOptions, call: string): void {
  checkOptions(options, TRACE_OPTIONS, call)
}
