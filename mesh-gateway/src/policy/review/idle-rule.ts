/** A rule that can never take effect as policy stands: valid, and surely not what whoever wrote it meant. */
export interface IdleRule {
  /** `acme.json#/egress/allow/0` */
  readonly id: string
  readonly message: string
}
