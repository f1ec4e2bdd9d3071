import { describeDisturbedStore } from './disturbed-store.ts'

describeDisturbedStore(0.5)
