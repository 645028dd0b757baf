/** @file The form for policy, budget and options; its fields are made from the JSON Schemas of the server. */
import {
  chosen,
  COMBINATION,
  decodeProtections,
  type KvChoice,
  type PolicyInfo,
  type PolicyList,
} from "./kv_choice.ts";
import { type OptionField, optionFields } from "./option_fields.ts";

/** What an event's field holds. */
export const valueOf = (event: Event): string => (event.target as HTMLInputElement).value;

interface Props {
  readonly list: PolicyList;
  readonly choice: KvChoice;
  readonly onChange: (choice: KvChoice) => void;
  readonly legend: string;
}

export function ChoiceForm({ list, choice, onChange, legend }: Props) {
  const info = chosen(list, choice);
  const fields = optionFields(info.options);
  const change = (changes: Partial<KvChoice>) => onChange({ ...choice, ...changes });
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      <label>
        Policy
        <select
          value={choice.policy}
          onChange={(event: Event) =>
            change({ policy: valueOf(event), options: {}, decodeEviction: "", decodeProtection: "" })}
        >
          {list.policies.map(({ name }) => <option value={name} key={name}>{name}</option>)}
          <option value={COMBINATION}>a scorer and an allocator</option>
        </select>
      </label>
      {choice.policy === COMBINATION && (
        <div class="pair">
          <Half
            label="Scorer"
            of={list.scorers}
            value={choice.scorer}
            onChange={(scorer) => change({ scorer, options: {}, decodeEviction: "", decodeProtection: "" })}
          />
          <Half
            label="Allocator"
            of={list.allocators}
            value={choice.allocator}
            onChange={(allocator) => change({ allocator, options: {} })}
          />
        </div>
      )}
      <p class="hint">{info.description}</p>
      <label>
        Budget
        <input
          type="text"
          value={choice.budget}
          disabled={info.name === "full"}
          placeholder="the server's own"
          autocomplete="off"
          onInput={(event: Event) => change({ budget: valueOf(event) })}
        />
        <span class="hint">Rows per layer, a share of the prompt such as 10%, or auto</span>
      </label>
      {(fields.length > 0 || info.decode_eviction) && (
        <details>
          <summary>Options</summary>
          {fields.map((field) => (
            <Option
              key={`${info.name} ${field.name}`}
              field={field}
              value={choice.options[field.name] ?? ""}
              onChange={(value) => change({ options: { ...choice.options, [field.name]: value } })}
            />
          ))}
          {info.decode_eviction && <Evictions list={list} choice={choice} onChange={change} />}
        </details>
      )}
    </fieldset>
  );
}

function Evictions(
  { list, choice, onChange }: {
    readonly list: PolicyList;
    readonly choice: KvChoice;
    readonly onChange: (changes: Partial<KvChoice>) => void;
  },
) {
  const { names, description } = decodeProtections(list);
  return (
    <>
      <label>
        Evict while generating
        <input
          type="number"
          min={1}
          max={65536}
          placeholder="never"
          value={choice.decodeEviction}
          onInput={(event: Event) => onChange({ decodeEviction: valueOf(event) })}
        />
        <span class="hint">Tokens between two evictions</span>
      </label>
      {choice.decodeEviction !== "" && (
        <label>
          Leave alone
          <select
            value={choice.decodeProtection}
            onChange={(event: Event) => onChange({ decodeProtection: valueOf(event) })}
          >
            <option value="">by default</option>
            {names.map((name) => <option value={name} key={name}>{name}</option>)}
          </select>
          <span class="hint">{description}</span>
        </label>
      )}
    </>
  );
}

function Half(
  { label, of, value, onChange }: {
    readonly label: string;
    readonly of: readonly PolicyInfo[];
    readonly value: string;
    readonly onChange: (name: string) => void;
  },
) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event: Event) => onChange(valueOf(event))}>
        {of.map(({ name }) => <option value={name} key={name}>{name}</option>)}
      </select>
    </label>
  );
}

function Option(
  { field, value, onChange }: {
    readonly field: OptionField;
    readonly value: string;
    readonly onChange: (value: string) => void;
  },
) {
  const { name, description, fallback, kind, choices, minimum, maximum, isWhole } = field;
  const byDefault = fallback === "" ? "by default" : `${fallback}, by default`;
  return (
    <label>
      {name}
      {kind === "choice"
        ? (
          <select value={value} onChange={(event: Event) => onChange(valueOf(event))}>
            <option value="">{byDefault}</option>
            {choices.map((choice) => <option value={choice} key={choice}>{choice}</option>)}
          </select>
        )
        : (
          <input
            type={kind}
            min={minimum}
            max={maximum}
            step={isWhole ? 1 : "any"}
            placeholder={byDefault}
            value={value}
            onInput={(event: Event) => onChange(valueOf(event))}
          />
        )}
      <span class="hint">{description}</span>
    </label>
  );
}
