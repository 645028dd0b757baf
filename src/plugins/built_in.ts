/** @file The policies that come with Ebb, in the order in which they are listed to people. Each is a file of its own. */
import type { Policy } from "ebb/policy";
import adakv from "./adakv.ts";
import cake from "./cake.ts";
import compactor from "./compactor.ts";
import defensive from "./defensive.ts";
import dynamickv from "./dynamickv.ts";
import ebbkv from "./ebbkv.ts";
import expectedattention from "./expectedattention.ts";
import full from "./full.ts";
import h2o from "./h2o.ts";
import keydiff from "./keydiff.ts";
import knorm from "./knorm.ts";
import lava from "./lava.ts";
import pyramidkv from "./pyramidkv.ts";
import random from "./random.ts";
import readahead from "./readahead.ts";
import rehearsal from "./rehearsal.ts";
import snapkv from "./snapkv.ts";
import streaming from "./streaming.ts";
import tova from "./tova.ts";
import triattention from "./triattention.ts";

/** Every policy that comes with Ebb. */
export const BUILT_IN_POLICIES: readonly Policy[] = [
  ebbkv,
  dynamickv,
  readahead,
  rehearsal,
  full,
  streaming,
  h2o,
  tova,
  snapkv,
  pyramidkv,
  adakv,
  cake,
  lava,
  knorm,
  keydiff,
  compactor,
  defensive,
  expectedattention,
  triattention,
  random,
];
