// Rows on a screen: as many elements as fit, used again and again for whatever rows are in view. No framework looks at
// them: what changes is the text of a cell, and only if it differs. So that 2,000 rows a second, or a million, cost what
// forty rows cost.

export interface GridColumn {
  name: string;
  title: string;
  width: number;
  number?: boolean;
}

/** Where rows come from. */
export interface Source<R> {
  /** Rows that there are. */
  length(): number;
  row(at: number): R | undefined;
  /** The text of a cell, and for the column `action` its class. */
  text(row: R, column: string): string;
  /** What a cell is, beside its text: `bad`, `warn`, `good`, `dim`. */
  tone?(row: R, column: string): string | undefined;
  /** Where a cell leads. */
  link?(row: R, column: string): string | undefined;
  /** A name that tells a row from others, so that what is chosen stays chosen when rows move. */
  key(row: R): string;
}

export interface Place {
  row: number;
  column: number;
}

export interface Events<R> {
  /** The active cell has moved, by key, click or because rows have moved under it. */
  active?(place: Place | undefined): void;
  open?(row: R): void;
  /** A title of a column was clicked. */
  head?(column: string): void;
  hover?(place: Place | undefined, cell: HTMLElement | undefined): void;
  /** The last rows came into view. */
  end?(): void;
  scroll?(top: number): void;
}

interface Cell {
  element: HTMLElement;
  text: Text;
  link: HTMLAnchorElement | undefined;
}

let grids = 0;

export class Grid<R> {
  readonly #id = `grid${grids++}`;
  readonly #box: HTMLElement;
  readonly #head: HTMLElement;
  readonly #space: HTMLElement;
  readonly #source: Source<R>;
  readonly #events: Events<R>;
  #height: number;
  #columns: GridColumn[] = [];
  #pool: { element: HTMLElement; cells: Cell[]; at: number }[] = [];
  #active: Place | undefined;
  #chosen: string | undefined;
  #frame = 0;
  readonly #resize: ResizeObserver;

  constructor(box: HTMLElement, label: string, height: number, source: Source<R>, events: Events<R>) {
    this.#box = box;
    this.#source = source;
    this.#events = events;
    this.#height = height;
    box.classList.add("grid");
    box.setAttribute("role", "grid");
    box.setAttribute("aria-label", label);
    box.tabIndex = 0;
    this.#head = document.createElement("div");
    this.#head.className = "grid-head";
    this.#head.setAttribute("role", "row");
    this.#head.setAttribute("aria-rowindex", "1");
    this.#space = document.createElement("div");
    this.#space.className = "grid-space";
    this.#space.setAttribute("role", "rowgroup");
    const head = document.createElement("div");
    head.setAttribute("role", "rowgroup");
    head.className = "grid-headgroup";
    head.append(this.#head);
    box.append(head, this.#space);
    box.addEventListener("scroll", this.#scrolled, { passive: true });
    box.addEventListener("click", this.#clicked);
    box.addEventListener("dblclick", this.#doubled);
    box.addEventListener("pointerover", this.#over);
    box.addEventListener("keydown", this.#key);
    this.#resize = new ResizeObserver(() => this.draw());
    this.#resize.observe(box);
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    this.#resize.disconnect();
    this.#box.replaceChildren();
  }

  columns(columns: GridColumn[]): void {
    this.#columns = columns;
    this.#box.style.setProperty("--columns", columns.map((c) => `minmax(${c.width}px, ${c.width}fr)`).join(" "));
    this.#box.style.setProperty("--width", `${columns.reduce((sum, c) => sum + c.width, 0)}px`);
    this.#box.setAttribute("aria-colcount", String(columns.length));
    this.#head.replaceChildren(
      ...columns.map((column, at) => {
        const cell = document.createElement("div");
        cell.setAttribute("role", "columnheader");
        cell.setAttribute("aria-colindex", String(at + 1));
        cell.textContent = column.title;
        if (column.number) cell.className = "num";
        if (this.#events.head && column.title) {
          const button = document.createElement("button");
          button.className = "plain";
          button.tabIndex = -1;
          button.textContent = column.title;
          button.addEventListener("click", () => this.#events.head?.(column.name));
          cell.replaceChildren(button);
        }
        return cell;
      }),
    );
    this.#space.replaceChildren();
    this.#pool = [];
    if (this.#active && this.#active.column >= columns.length) this.#active.column = columns.length - 1;
    this.draw();
  }

  /** Says by which column rows are in order. */
  sorted(name: string, down: boolean): void {
    this.#columns.forEach((column, at) => {
      const cell = this.#head.children[at]!;
      if (column.name === name) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  /** Draws in the next frame, however often it is called before. */
  draw(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(this.#paint);
  }

  get active(): Place | undefined {
    return this.#active;
  }

  activeRow(): R | undefined {
    return this.#active && this.#source.row(this.#active.row);
  }

  /** The element of a cell, if it is in view. */
  cell(place: Place): HTMLElement | undefined {
    return this.#pool.find((line) => line.at === place.row)?.cells[place.column]?.element;
  }

  /** The row that is open stays marked. */
  choose(key: string | undefined): void {
    this.#chosen = key;
    this.draw();
  }

  top(): void {
    this.#box.scrollTop = 0;
  }

  /** Moves the active cell, and what is in view with it. */
  move(rows: number, columns: number): void {
    const from = this.#active ?? { row: Math.floor(this.#box.scrollTop / this.#height) - (rows > 0 ? 1 : 0), column: 0 };
    const row = Math.max(0, Math.min(this.#source.length() - 1, from.row + rows));
    const column = Math.max(0, Math.min(this.#columns.length - 1, from.column + columns));
    this.activate(row < 0 ? undefined : { row, column });
  }

  activate(place: Place | undefined): void {
    this.#active = place;
    if (place) {
      const top = place.row * this.#height;
      const room = this.#box.clientHeight - this.#head.offsetHeight;
      if (top < this.#box.scrollTop) this.#box.scrollTop = top;
      else if (top + this.#height > this.#box.scrollTop + room) this.#box.scrollTop = top + this.#height - room;
    }
    this.#paint();
    this.#events.active?.(place);
    if (place) this.cell(place)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** New rows came before those that are in view: the active cell stays on its row. */
  shift(rows: number): void {
    if (this.#active) this.#active.row += rows;
  }

  readonly #paint = (): void => {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const length = this.#source.length();
    const height = this.#height;
    if (this.#active && this.#active.row >= length) this.#active = length ? { ...this.#active, row: length - 1 } : undefined;
    const wanted = Math.min(length, Math.ceil(this.#box.clientHeight / height) + 2);
    while (this.#pool.length < wanted) this.#pool.push(this.#line());
    while (this.#pool.length > wanted) this.#pool.pop()!.element.remove();
    const tall = `${length * height}px`;
    if (this.#space.style.height !== tall) this.#space.style.height = tall;
    this.#box.setAttribute("aria-rowcount", String(length + 1));
    const first = Math.max(0, Math.min(Math.floor(this.#box.scrollTop / height), length - wanted));
    for (let i = 0; i < wanted; i++) this.#fill(first + i, wanted);
    const active = this.#active && this.cell(this.#active);
    if (active) this.#box.setAttribute("aria-activedescendant", active.id);
    else this.#box.removeAttribute("aria-activedescendant");
    if (length > 0 && first + wanted >= length) this.#events.end?.();
  };

  #fill(at: number, wanted: number): void {
    const line = this.#pool[at % wanted]!;
    const row = this.#source.row(at);
    if (line.at !== at) {
      line.at = at;
      line.element.style.transform = `translateY(${at * this.#height}px)`;
      line.element.setAttribute("aria-rowindex", String(at + 2));
    }
    line.element.hidden = row === undefined;
    if (row === undefined) return;
    const chosen = this.#chosen !== undefined && this.#source.key(row) === this.#chosen;
    line.element.classList.toggle("chosen", chosen);
    line.element.classList.toggle("current", this.#active?.row === at);
    for (let i = 0; i < this.#columns.length; i++) {
      const { element, text, link } = line.cells[i]!;
      const name = this.#columns[i]!.name;
      const value = this.#source.text(row, name);
      if (text.data !== value) {
        text.data = value;
        if (name === "action") element.dataset["action"] = value;
      }
      if (this.#source.tone) {
        const tone = this.#source.tone(row, name) ?? "";
        if ((element.dataset["tone"] ?? "") !== tone) element.dataset["tone"] = tone;
      }
      if (link) {
        const to = this.#source.link?.(row, name);
        if (to === undefined) link.removeAttribute("href");
        else if (link.getAttribute("href") !== to) link.href = to;
      }
      const active = this.#active?.row === at && this.#active.column === i;
      if (active !== element.classList.contains("active")) element.classList.toggle("active", active);
    }
  }

  #line(): { element: HTMLElement; cells: Cell[]; at: number } {
    const element = document.createElement("div");
    element.className = "grid-row";
    element.setAttribute("role", "row");
    const line = this.#pool.length;
    const cells = this.#columns.map((column, at) => {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-colindex", String(at + 1));
      cell.id = `${this.#id}-${line}-${at}`;
      if (column.number) cell.className = "num";
      const text = document.createTextNode("");
      let link: HTMLAnchorElement | undefined;
      if (this.#source.link) {
        link = document.createElement("a");
        link.tabIndex = -1; // the grid is one stop; Enter follows the link of the active cell
        link.append(text);
        cell.append(link);
      } else cell.append(text);
      element.append(cell);
      return { element: cell, text, link };
    });
    this.#space.append(element);
    return { element, cells, at: -1 };
  }

  #place(target: EventTarget | null): { place: Place; cell: HTMLElement } | undefined {
    const cell = (target as Element | null)?.closest?.<HTMLElement>("[role=gridcell]");
    const line = cell && this.#pool.find((line) => line.element === cell.parentElement);
    if (!cell || !line) return undefined;
    return { place: { row: line.at, column: line.cells.findIndex((c) => c.element === cell) }, cell };
  }

  readonly #scrolled = (): void => {
    this.#events.scroll?.(this.#box.scrollTop);
    this.#events.hover?.(undefined, undefined);
    this.draw();
  };

  readonly #clicked = (event: MouseEvent): void => {
    const found = this.#place(event.target);
    if (found && getSelection()?.isCollapsed !== false) this.activate(found.place);
  };

  readonly #doubled = (event: MouseEvent): void => {
    const found = this.#place(event.target);
    const row = found && this.#source.row(found.place.row);
    if (row !== undefined) this.#events.open?.(row);
  };

  readonly #over = (event: PointerEvent): void => {
    const found = this.#place(event.target);
    this.#events.hover?.(found?.place, found?.cell);
  };

  readonly #key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.#box.clientHeight / this.#height) - 2);
    const moves: Record<string, [number, number]> = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      PageDown: [page, 0],
      PageUp: [-page, 0],
      Home: [-Infinity, 0],
      End: [Infinity, 0],
    };
    const move = moves[event.key];
    if (move) this.move(...move);
    else if (event.key === "Enter" && this.#source.link && this.#active) {
      this.#pool.find((line) => line.at === this.#active?.row)?.cells[this.#active.column]?.link?.click();
    } else return;
    event.preventDefault();
  };
}
