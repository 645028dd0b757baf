/** @file Tells zod to make no code of text: imported before any schema is made, and before what makes code of text is taken away. */
import { z } from "zod";

z.config({ jitless: true });
