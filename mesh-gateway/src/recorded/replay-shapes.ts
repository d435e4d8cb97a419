/** The differences that a candidate policy would make. Nothing is imported here: the page of the console reads them too. */

/** Records that are equal in everything that policy looks at. */
export interface Changed {
  readonly plane: 'egress' | 'delegation'
  /** `tenant/agent` */
  readonly agent: string
  /** `GET api.example.com:443/v1`, `CONNECT api.example.com:443`, `globex/translator pkg.Svc/M` */
  readonly what: string
  /** Of the recorded or the new refusal. */
  readonly code: string | null
  readonly rule: string | null
  /** The number of records. */
  readonly count: number
  /** The time of the first. */
  readonly time: string | null
}

export interface ReplayReport {
  readonly same: number
  /** Requests of tenants whose file is broken. */
  readonly not_judged: number
  readonly broken_files: readonly string[]
  readonly newly_refused: number
  readonly newly_allowed: number
  /** Requests that audit mode alone lets through. */
  readonly by_audit_mode: number
  readonly examples: {
    readonly newly_refused: readonly Changed[]
    readonly newly_allowed: readonly Changed[]
  }
}

/** Of what the admin port remembers. */
export interface ReplayFacts extends ReplayReport {
  readonly records: number
  readonly not_of_policy: number
  /** The time of the oldest record, ISO 8601; null without one. */
  readonly since: string | null
}
