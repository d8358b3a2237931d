//! The application behind the codec `modbus`: two units with coils and registers, shared by the
//! clients of both listeners.
//!
//! A coil switches the discrete input of the same address. Input registers are measurements.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use wireplug::App;
use wireplug::app::{Error, Json, State};

/// How many coils, inputs and registers each unit has.
const SIZE: usize = 200;

/// The holding register with the target temperature, and the highest one that it takes.
const TARGET: usize = 100;
const MAX_TARGET: u16 = 90;

/// Writes to this unit go to all units.
const ALL: u8 = 0;

struct Unit {
    coils: [bool; SIZE],
    holding: [u16; SIZE],
    input: [u16; SIZE],
}

impl Unit {
    /// Measurements are 1000, 1001 and so on in unit 1, and 2000, 2001 and so on in unit 2.
    fn new(number: u8) -> Self {
        let first = u16::from(number) * 1000;
        let input = std::array::from_fn(|address| first + address as u16);
        Self { coils: [false; SIZE], holding: [0; SIZE], input }
    }

    fn write_holding(&mut self, address: u16, values: &[u16]) -> Result<(), Error> {
        let changed = range(&mut self.holding, address, values.len())?;
        let target = TARGET.checked_sub(address.into()).and_then(|index| values.get(index));
        if target.is_some_and(|target| *target > MAX_TARGET) {
            return Err(Error::status(400));
        }
        changed.copy_from_slice(values);
        Ok(())
    }
}

/// Returns the values from an address on. Status 416 becomes "illegal data address".
fn range<T>(values: &mut [T], address: u16, count: usize) -> Result<&mut [T], Error> {
    let address = usize::from(address);
    values.get_mut(address..address + count).ok_or(Error::status(416))
}

struct Plant(Mutex<BTreeMap<u8, Unit>>);

impl Plant {
    fn new() -> Self {
        Self(Mutex::new([1, 2].map(|number| (number, Unit::new(number))).into()))
    }

    /// Runs an action on a unit. Status 504 becomes "gateway target device failed to respond".
    fn with<T>(&self, unit: u8, action: impl FnOnce(&mut Unit) -> Result<T, Error>) -> Result<T, Error> {
        let mut units = self.0.lock().expect("no thread panics while it has the lock");
        action(units.get_mut(&unit).ok_or(Error::status(504))?)
    }

    /// Runs an action that writes on a unit, or on all of them.
    fn write(&self, unit: u8, action: impl Fn(&mut Unit) -> Result<(), Error>) -> Result<(), Error> {
        if unit != ALL {
            return self.with(unit, action);
        }
        self.0.lock().expect("no thread panics while it has the lock").values_mut().try_for_each(action)
    }
}

#[derive(Deserialize)]
struct Read {
    unit: u8,
    address: u16,
    count: u16,
}

#[derive(Deserialize)]
struct Write<T> {
    unit: u8,
    address: u16,
    values: Vec<T>,
}

#[derive(Deserialize)]
struct Mask {
    unit: u8,
    address: u16,
    and: u16,
    or: u16,
}

#[derive(Deserialize)]
struct ReadWrite {
    unit: u8,
    read: Range,
    write: Values,
}

#[derive(Deserialize)]
struct Range {
    address: u16,
    count: u16,
}

#[derive(Deserialize)]
struct Values {
    address: u16,
    values: Vec<u16>,
}

#[derive(Serialize)]
struct Answer<T> {
    values: Vec<T>,
}

type Units = State<Arc<Plant>>;
type Found<T> = Result<Json<Answer<T>>, Error>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::with_state(Arc::new(Plant::new()))
        .route("modbus.read-coils", read_coils)
        .route("modbus.read-discrete-inputs", read_coils)
        .route("modbus.read-holding-registers", read_holding)
        .route("modbus.read-input-registers", read_input)
        .route("modbus.write-single-coil", write_coils)
        .route("modbus.write-multiple-coils", write_coils)
        .route("modbus.write-single-register", write_holding)
        .route("modbus.write-multiple-registers", write_holding)
        .route("modbus.mask-write-register", mask_write)
        .route("modbus.read-write-multiple-registers", read_write);
    wireplug_gallery::serve(app).await
}

fn read<T: Copy>(plant: &Plant, wanted: &Read, area: impl FnOnce(&mut Unit) -> &mut [T]) -> Found<T> {
    plant.with(wanted.unit, |unit| {
        let values = range(area(unit), wanted.address, wanted.count.into())?.to_vec();
        Ok(Json(Answer { values }))
    })
}

async fn read_coils(Json(wanted): Json<Read>, State(plant): Units) -> Found<bool> {
    read(&plant, &wanted, |unit| &mut unit.coils)
}

async fn read_holding(Json(wanted): Json<Read>, State(plant): Units) -> Found<u16> {
    read(&plant, &wanted, |unit| &mut unit.holding)
}

async fn read_input(Json(wanted): Json<Read>, State(plant): Units) -> Found<u16> {
    read(&plant, &wanted, |unit| &mut unit.input)
}

async fn write_coils(Json(new): Json<Write<bool>>, State(plant): Units) -> Result<(), Error> {
    plant.write(new.unit, |unit| {
        range(&mut unit.coils, new.address, new.values.len())?.copy_from_slice(&new.values);
        Ok(())
    })
}

async fn write_holding(Json(new): Json<Write<u16>>, State(plant): Units) -> Result<(), Error> {
    plant.write(new.unit, |unit| unit.write_holding(new.address, &new.values))
}

/// Changes some bits of a register, as the specification says.
async fn mask_write(Json(mask): Json<Mask>, State(plant): Units) -> Result<(), Error> {
    plant.write(mask.unit, |unit| {
        let old = range(&mut unit.holding, mask.address, 1)?[0];
        unit.write_holding(mask.address, &[(old & mask.and) | (mask.or & !mask.and)])
    })
}

/// Writes first, as the specification says. Writes nothing if there is nothing to read.
async fn read_write(Json(both): Json<ReadWrite>, State(plant): Units) -> Found<u16> {
    plant.with(both.unit, |unit| {
        range(&mut unit.holding, both.read.address, both.read.count.into())?;
        unit.write_holding(both.write.address, &both.write.values)?;
        let values = range(&mut unit.holding, both.read.address, both.read.count.into())?.to_vec();
        Ok(Json(Answer { values }))
    })
}
