/** @file The words that samples are made of. Each is short and common, so that small vocabularies hold it whole. */

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const FIRST_NAMES = words(`
  Nora Otto Mira Hugo Lena Karl Vera Emil Dora Felix Greta Ivan Julia Leo Maria Niklas Olga Paul Rosa Simon Tilda Viktor
  Wanda Xenia Yusuf Zora Amir Berta Cora David Edith Frank Hilda Igor Jonas Klara Lukas Mona Nils Oskar Petra Ralf Sara
  Tom Ursula Vito Werner Yara Zeno Anton Bella Carlo Diana Erik Flora Georg Helen Irma Jakob Kira Linus Marta Noah Pia`);

export const LAST_NAMES = words(`
  Feld Brand Stone Reed Marsh Cole Frost Lane Hale Wood Park Shaw Webb Dale Ford Grant Knox Lowe Moss Nash Page Quinn
  Rhodes Snow Todd Vance West York Bell Cross Drake East Finch Gray Hart Irwin Jones King Long Mills North Owen Price
  Ross Swift Thorn Upton Vale Wolf Young Abbot Baker Clark Dean Ellis Fox Green Hill Ives Joyce Kent Lamb Mason Noble`);

export const TOWNS = words(`
  Marlow Dunbar Aston Corby Filey Hythe Keswick Ludlow Malton Oakham Penrith Ripon Selby Tenby Wells Bruton Calne Epsom
  Frome Goole Hexham Ilkley Kendal Louth Morley Newark Ormskirk Poole Rugby Thirsk Wigan Yeovil Buxton Crewe Diss Ely`);

export const ADJECTIVES = words(`
  silver copper golden wooden red blue green white black yellow old new small large round square heavy light broken
  painted plain bright dark soft hard clean dusty tall narrow wide quiet strange`);

export const OBJECTS = words(`
  lamp kettle clock chair basket mirror bottle hammer ladder violin drum coat hat ring box wheel rope bell spoon candle
  blanket brush bucket map key knife boat cart cup desk flag glove pillow plate shovel statue trumpet vase umbrella watch`);

export const ANIMALS = words(`
  fox horse rabbit owl bear goat duck wolf cat dog hen sheep mouse crow deer frog goose lion otter pony`);

export const JOBS = words(`
  baker doctor farmer teacher sailor painter tailor lawyer miller gardener driver nurse judge writer singer carpenter
  butcher fisher guard clerk`);

export const ROOMS = words(`
  cellar kitchen attic garden garage library hall barn office tower workshop chapel stable bakery museum school market
  station harbour hospital`);

export const FOODS = words(`
  bread cheese soup rice apples pears honey cake fish beans plums nuts eggs butter tea milk jam corn grapes figs`);

export const LABELS = words(`alpha beta gamma delta omega sigma kappa lambda theta zeta`);

export const VERBS = words(`paint open close count wash move lift check send load fill cut fold hide mark find`);

export const PARAMETERS = words(
  `width height color speed size name weight length limit price angle depth level count time rate`,
);
