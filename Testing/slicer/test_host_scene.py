"""The host's scene reads, writes, closes and orders nodes as Slicer does."""

from __future__ import annotations

import gzip

import numpy as np
import pytest


@pytest.fixture
def util(slicer_host):
    import slicer

    return slicer.util


@pytest.fixture
def volume(util):
    return util.addVolumeFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.0, 2.0, 3.0, 1.0]), "T1")


def test_a_volume_file_is_read_with_its_geometry(util, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    affine = np.array([[1.5, 0, 0, -10], [0, 2, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "scan.nii.gz")
    node = util.loadVolume(tmp_path / "scan.nii.gz")
    assert node.GetName() == "scan"
    matrix = __import__("vtk").vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijk_to_ras = util.arrayFromVTKMatrix(matrix)
    array = util.arrayFromVolume(node)
    for index in np.ndindex(*data.shape):
        ras = affine @ [*index, 1]
        i, j, k = np.rint(np.linalg.inv(ijk_to_ras) @ ras)[:3].astype(int)
        assert array[k, j, i] == data[index]


def test_a_left_handed_volume_becomes_right_handed(util, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4), np.float32), affine), tmp_path / "left.nii.gz")
    matrix = __import__("vtk").vtkMatrix4x4()
    util.loadVolume(tmp_path / "left.nii.gz").GetIJKToRASMatrix(matrix)
    assert np.linalg.det(util.arrayFromVTKMatrix(matrix)[:3, :3]) > 0


def test_the_properties_of_load_volume_are_obeyed(util, volume, tmp_path):
    assert util.saveNode(volume, str(tmp_path / "labels.nii.gz"))
    node = util.loadVolume(str(tmp_path / "labels.nii.gz"), {"labelmap": True, "name": "mine", "show": False})
    assert node.IsA("vtkMRMLLabelMapVolumeNode")
    assert node.GetName() == "mine"
    composite = util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetLabelVolumeID() != node.GetID()


def test_a_loaded_volume_is_shown_in_the_slice_views(util, volume, tmp_path):
    util.saveNode(volume, str(tmp_path / "t1.nrrd"))
    node = util.loadVolume(str(tmp_path / "t1.nrrd"))
    for composite in util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetBackgroundVolumeID() == node.GetID()


def test_an_absent_or_damaged_file_says_so(util, tmp_path):
    with pytest.raises(RuntimeError, match="File not found"):
        util.loadVolume(str(tmp_path / "absent.nii.gz"))
    (tmp_path / "damaged.nii.gz").write_bytes(gzip.compress(b"no image"))
    from Testing.host.core import silent_vtk

    with silent_vtk(), pytest.raises(RuntimeError, match="could not be read"):
        util.loadVolume(str(tmp_path / "damaged.nii.gz"))


def test_a_table_survives_its_file(util, tmp_path):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "volumes")
    util.updateTableFromArray(node, [np.array([1.5, 2.5])], ["volume_mm3"])
    assert util.saveNode(node, str(tmp_path / "volumes.csv"))
    again = util.loadTable(str(tmp_path / "volumes.csv"))
    assert list(util.arrayFromTableColumn(again, "volume_mm3")) == [1.5, 2.5]


def test_a_scene_survives_its_bundle(util, volume, slicer_host, tmp_path):
    parameter = slicer_host.scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")
    parameter.SetParameter("mode", "robust")
    parameter.SetNodeReferenceID("input", volume.GetID())
    expected = util.arrayFromVolume(volume).copy()
    assert util.saveScene(str(tmp_path / "scene.mrb"))
    slicer_host.clear_scene()
    assert util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    util.loadScene(str(tmp_path / "scene.mrb"))
    again = util.getNode("parameters")
    assert again.GetParameter("mode") == "robust"
    assert np.array_equal(util.arrayFromVolume(again.GetNodeReference("input")), expected)


def test_colour_tables_of_slicer_are_there(util):
    assert util.getNode("Labels").IsA("vtkMRMLColorTableNode")
    assert util.getNode("Grey").GetNumberOfColors() == 256


def test_observers_of_the_scene_hear_it_close(slicer_host):
    scene, heard = slicer_host.scene, []
    tags = [
        scene.AddObserver(scene.StartCloseEvent, lambda *_: heard.append("start")),
        scene.AddObserver(scene.EndCloseEvent, lambda *_: heard.append("end")),
    ]
    slicer_host.clear_scene()
    for tag in tags:
        scene.RemoveObserver(tag)
    assert heard == ["start", "end"]


# ---- subject hierarchy ----------------------------------------------------------------------------------


def test_a_node_gets_an_item_and_loses_it(slicer_host, volume):
    hierarchy = slicer_host.scene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(volume)
    assert item
    assert hierarchy.GetItemName(item) == "T1"
    assert hierarchy.GetItemOwnerPluginName(item) == "Volumes"
    assert hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID()
    slicer_host.scene.RemoveNode(volume)
    assert hierarchy.GetItemDataNode(item) is None


def test_hidden_nodes_and_nodes_without_data_get_no_item(slicer_host):
    import slicer

    hierarchy = slicer_host.scene.GetSubjectHierarchyNode()
    hidden = slicer.vtkMRMLScalarVolumeNode()
    hidden.SetHideFromEditors(1)
    slicer_host.scene.AddNode(hidden)
    display = slicer_host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    assert not hierarchy.GetItemByDataNode(hidden)
    assert not hierarchy.GetItemByDataNode(display)


def test_items_are_moved_beside_each_other_and_stay_so_in_a_bundle(slicer_host, util, volume, tmp_path):
    hierarchy = slicer_host.scene.GetSubjectHierarchyNode()
    study = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
    util.saveScene(str(tmp_path / "scene.mrb"))
    slicer_host.clear_scene()
    util.loadScene(str(tmp_path / "scene.mrb"))
    hierarchy = slicer_host.scene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(util.getNode("T1"))
    assert hierarchy.GetItemName(hierarchy.GetItemParent(item)) == "Study"
