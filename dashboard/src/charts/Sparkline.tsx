/** A small line without axes, beside a number that says the same. */

interface Props {
  readonly values: readonly (number | null)[];
  readonly look?: number;
  readonly max?: number;
}

const WIDTH = 160;
const HEIGHT = 32;

export function Sparkline({ values, look = 0, max }: Props) {
  const most = max ?? Math.max(1e-9, ...values.map((value) => value ?? 0));
  const step = WIDTH / Math.max(1, values.length - 1);
  let path = "";
  let open = false;
  values.forEach((value, index) => {
    if (value === null) { open = false; return; }
    path += `${open ? "L" : "M"}${(index * step).toPrecision(5)} ${(HEIGHT - 2 - (Math.min(value, most) / most) * (HEIGHT - 4)).toPrecision(4)}`;
    open = true;
  });
  return (
    <svg className={`spark ink-${look % 8}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={path} fill="none" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
