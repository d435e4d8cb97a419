/** deploy/segmentation/container.*: loaded from outside into the network namespace of the gateway's container, under attack. */
import { besiege } from './besieged-gateway.ts'

besiege('container')
