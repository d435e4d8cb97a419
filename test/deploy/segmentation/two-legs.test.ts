/** deploy/segmentation/two-legs.*: a host with a leg for the agents, under attack. */
import { besiege } from './besieged-gateway.ts'

besiege('two-legs')
