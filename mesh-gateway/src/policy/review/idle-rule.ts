/** A rule that can never take effect under the current policy: valid, and surely not what its author meant. */
export interface IdleRule {
  /** `acme.json#/egress/allow/0` */
  readonly id: string
  readonly message: string
}
